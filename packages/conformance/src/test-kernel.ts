import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { differentiate, installKernels, kernelsFor, randomStream, run, withKernels } from "@heddle/core";
import type { Kernel, Operation, Output } from "@heddle/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { largestDifference, relativeDifference } from "./difference.ts";

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

const listOf = (output: Output): Tensor[] => (Array.isArray(output) ? output : [output]);
const read = (tensors: readonly Tensor[]): Promise<ArrayLike<number>[]> =>
  Promise.all(tensors.map(async (tensor) => await tensor.data()));

/** Outputs and gradients (by every input, of a drawn cotangent) of one kernel, as plain numbers. */
async function results<C, R extends Output>(
  operation: Operation<C, R>,
  { name, gradient }: Kernel<C, R>,
  make: () => C,
  withGradient: boolean,
): Promise<{ outputs: ArrayLike<number>[]; shapes: number[][]; gradients: ArrayLike<number>[] }> {
  const force = <T>(f: () => T): T => withKernels({ [operation.name]: name }, f);
  const outputs = tf.tidy(() => listOf(force(() => run(operation, make()))));
  const found = { outputs: await read(outputs), shapes: outputs.map(({ shape }) => shape) };
  tf.dispose(outputs);
  if (!withGradient || !gradient) return { ...found, gradients: [] };
  const gradients = tf.tidy(() => {
    const call = make();
    const dy = tf.tensor(
      randomStream({ seed: 5 }).normals(found.outputs[0]!.length),
      found.shapes[0]! as [number],
    );
    const inputs = Object.values(operation.inputs(call));
    const result = differentiate(() => force(() => run(operation, call) as Tensor), inputs, dy);
    return result.gradients.map((slope, i) => slope ?? tf.zerosLike(inputs[i]!));
  });
  const slopes = await read(gradients);
  tf.dispose(gradients);
  return { ...found, gradients: slopes };
}

/**
 * A kernel against its operation's reference on the active backend: outputs, gradients where the kernel has them,
 * refusals that hold when the kernel is asked for by name, and no tensor left after 100 runs.
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
        const expected = await results(operation, operation.reference, make, withGradient);
        const found = await results(operation, kernel, make, withGradient);
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
      it(`leaves no tensor after 100 runs: ${name}`, () => {
        const once = (): void =>
          withKernels({ [operation.name]: kernel.name }, () => {
            tf.tidy(() => void run(operation, make()));
          });
        const before = tf.memory().numTensors;
        for (let i = 0; i < 100; i++) once();
        expect(tf.memory().numTensors).toBe(before);
      });
    }
  });
}
