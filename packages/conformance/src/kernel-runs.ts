import {
  attentionMapsOperation,
  attentionOperation,
  cacheWriteOperation,
  mergeHeadsOperation,
  splitHeadsOperation,
} from "@heddle/attention";
import * as core from "@heddle/core";
import type { Kernel, MatrixLayout, Operation, Output } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activationCases } from "./activation-cases.ts";
import { adamwCases } from "./adamw-cases.ts";
import { attentionCases, attentionMapsCases } from "./attention-cases.ts";
import { cacheWriteCases } from "./cache-write-cases.ts";
import { chooseTokenCases } from "./choose-token-cases.ts";
import { crossEntropyCases } from "./cross-entropy-cases.ts";
import { drawn } from "./drawn.ts";
import { dropoutCases } from "./dropout-cases.ts";
import { embeddingCases } from "./embedding-cases.ts";
import { mergeHeadsCases, splitHeadsCases } from "./heads-cases.ts";
import { linearCases } from "./linear-cases.ts";
import { matmulCases } from "./matmul-cases.ts";
import { layerNormCases, rmsNormCases } from "./norm-cases.ts";
import { residualCases } from "./residual-cases.ts";
import { rotaryCases } from "./rotary-cases.ts";
import { sliceCases, transposeCases } from "./shape-cases.ts";
import type { KernelCase } from "./test-kernel.ts";

/** How a run differs from the call as it is. */
export interface RunOptions {
  /** Factor of all inputs and of the gradient of the output. @default 1 */
  readonly scale?: number;
  /** Runs the reference in place of the backend's kernel. @default false */
  readonly isReference?: boolean;
  /** Runs the kernel, its call being made. @default as it is */
  readonly within?: (kernel: () => Tensor[]) => Tensor[];
}

/** An operation in one of the calls that kernels are tested with. */
export interface KernelRun {
  readonly name: string;
  readonly operation: string;
  /**
   * Outputs of the active backend's first kernel; where it has gradients, also the output that it gives then, and those
   * of all inputs. What else is made in it is freed.
   */
  run(options?: RunOptions): Tensor[];
}

function runsOf<C, R extends Output>(
  { name, inputs, withInputs, reference }: Operation<C, R>,
  cases: readonly KernelCase<C>[],
): KernelRun[] {
  const scaled = (call: C, scale: number): C =>
    withInputs(
      call,
      Object.fromEntries(Object.entries(inputs(call)).map(([input, x]) => [input, tf.mul(x, scale)])),
    );
  const runOf =
    ({ make, differentiable = true }: KernelCase<C>): KernelRun["run"] =>
    ({ scale = 1, isReference = false, within = (f: () => Tensor[]) => f() } = {}) =>
      tf.tidy(() => {
        const own = core.kernelsFor(name, tf.getBackend())[0] as Kernel<C, R>;
        const kernel = isReference ? reference : own;
        const call = scale === 1 ? make() : scaled(make(), scale);
        const outputsOf = (differentiating: boolean): [outputs: Tensor[], saved: readonly Tensor[]] => {
          const { output, saved = [] } = kernel.forward(call, { differentiating });
          return [Array.isArray(output) ? output : [output], saved];
        };
        return within(() => {
          const [outputs] = outputsOf(false);
          if (!differentiable || !own.gradient) return outputs;
          // A kernel may take another way where a gradient follows.
          const [[recorded], saved] = outputsOf(true);
          const dy = drawn("dy", recorded!.shape, { scale });
          const gradients = kernel.gradient!({ call, saved, dy });
          return [...outputs, recorded!, ...Object.keys(inputs(call)).map((input) => gradients[input]!())];
        });
      });
  return cases
    .filter(({ supported = true }) => supported)
    .map((each) => ({ name: `${name}: ${each.name}`, operation: name, run: runOf(each) }));
}

/** A weight in the active backend's layout and back. */
const packingRun = (layout: MatrixLayout): KernelRun => ({
  name: `packing: ${layout}`,
  operation: "packing",
  run: () =>
    tf.tidy(() => {
      const weight = drawn("weight", [149, 137]);
      const packing = core.activeBackend()!.packing!;
      const values = packing.pack(weight, layout);
      return [values, packing.unpack({ kind: "packed", packing, layout, shape: weight.shape, values })];
    }),
});

/** Every operation in every call for the kernels of all backends, and the packing of weights. */
export const kernelRuns: readonly KernelRun[] = [
  ...runsOf(core.activationOperation, activationCases),
  ...runsOf(core.adamwOperation, adamwCases),
  ...runsOf(attentionOperation, attentionCases),
  ...runsOf(attentionMapsOperation, attentionMapsCases),
  ...runsOf(cacheWriteOperation, cacheWriteCases),
  ...runsOf(core.chooseTokenOperation, chooseTokenCases),
  ...runsOf(core.crossEntropyOperation, crossEntropyCases),
  ...runsOf(core.dropoutOperation, dropoutCases),
  ...runsOf(core.embeddingOperation, embeddingCases),
  ...runsOf(core.layerNormOperation, layerNormCases),
  ...runsOf(core.linearOperation, linearCases),
  ...runsOf(core.matmulOperation, matmulCases),
  ...runsOf(mergeHeadsOperation, mergeHeadsCases),
  ...runsOf(core.residualOperation, residualCases),
  ...runsOf(core.rmsNormOperation, rmsNormCases),
  ...runsOf(core.rotaryOperation, rotaryCases),
  ...runsOf(core.sliceOperation, sliceCases),
  ...runsOf(splitHeadsOperation, splitHeadsCases),
  ...runsOf(core.transposeOperation, transposeCases),
  packingRun("linear"),
  packingRun("conv1d"),
];
