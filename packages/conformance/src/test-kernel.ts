import * as tf from "@tensorflow/tfjs-core";
import { installKernels, kernelsFor, run, withKernels } from "@heddle/core";
import type { Kernel, Operation, Output } from "@heddle/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { largestDifference, relativeDifference } from "./difference.ts";
import { kernelResults } from "./kernel-results.ts";

/** A call that a kernel is tested with. */
export interface KernelCase<C> {
  readonly name: string;
  /** Makes the same call over new tensors each time; all that it makes is freed. */
  make(): C;
  /** Whether the kernel says that it can run the call. @default true */
  readonly supported?: boolean;
  /** Whether the call has gradients. @default true */
  readonly differentiable?: boolean;
}

/** How far a kernel may be from the reference. */
export interface KernelRule {
  /** Greatest absolute difference of an output. @default 1e-5 */
  readonly forward?: number;
  /** Greatest difference of a gradient, as a share of its largest entry. @default 1e-4 */
  readonly gradient?: number;
}

/**
 * A device in software takes seconds for what others do at once, and a page has all these tests after Node; what leaks,
 * leaks in each run.
 */
const runsOn = (backend: string): number => (backend === "webgpu" || "document" in globalThis ? 10 : 100);

/**
 * A kernel against its operation's reference on the active backend: outputs, gradients where the kernel has them,
 * refusals that hold when the kernel is asked for by name, and no tensor left after many runs.
 * Call it inside a `describe` with `useBackend`.
 */
export function testKernel<C, R extends Output>(
  operation: Operation<C, R>,
  kernel: Kernel<C, R>,
  cases: readonly KernelCase<C>[],
  { forward = 1e-5, gradient = 1e-4 }: KernelRule = {},
): void {
  describe(`kernel ${kernel.name}`, () => {
    let uninstall: (() => void) | undefined;
    beforeAll(() => {
      const backend = tf.getBackend();
      if (!kernelsFor(operation.name, backend).some(({ name }) => name === kernel.name))
        uninstall = installKernels(backend, [kernel]);
    });
    afterAll(() => uninstall?.());

    it("is for this operation", () => {
      expect(kernel.operation).toBe(operation.name);
      expect(["any", tf.getBackend()]).toContain(kernel.backend);
    });
    for (const { name, make, supported = true, differentiable = true } of cases) {
      if (!supported) {
        it(`refuses, with reasons: ${name}`, () => {
          tf.tidy(() => {
            const call = make();
            const reasons = kernel.unsupported(call);
            expect(reasons.length).toBeGreaterThan(0);
            expect(() => withKernels({ [operation.name]: kernel.name }, () => run(operation, call))).toThrow(
              `${operation.name}: kernel ${kernel.name} cannot run this call: ${reasons.join("; ")}`,
            );
          });
        });
        continue;
      }
      it(`gives what the reference gives: ${name}`, async () => {
        tf.tidy(() => {
          expect(kernel.unsupported(make())).toEqual([]);
        });
        const withGradient = differentiable && kernel.gradient !== undefined;
        const expected = await kernelResults(operation, operation.reference, make, withGradient);
        const found = await kernelResults(operation, kernel, make, withGradient);
        expect(found.shapes).toEqual(expected.shapes);
        found.outputs.forEach((values, i) =>
          expect(largestDifference(values, expected.outputs[i]!), `output ${i}`).toBeLessThanOrEqual(forward),
        );
        found.gradients.forEach((values, i) =>
          expect(relativeDifference(values, expected.gradients[i]!), `gradient ${i}`).toBeLessThanOrEqual(
            gradient,
          ),
        );
      });
      it(`leaves no tensor after many runs: ${name}`, () => {
        const once = (): void =>
          withKernels({ [operation.name]: kernel.name }, () => {
            tf.tidy(() => void run(operation, make()));
          });
        const before = tf.memory().numTensors;
        for (let i = 0; i < runsOn(tf.getBackend()); i++) once();
        expect(tf.memory().numTensors).toBe(before);
      });
    }
  });
}
