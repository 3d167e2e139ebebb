import { attentionMapsOperation, attentionOperation, cacheWriteOperation } from "@heddle/attention";
import * as conformance from "@heddle/conformance";
import type { KernelCase } from "@heddle/conformance";
import * as core from "@heddle/core";
import type { Kernel, Operation, Output } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activationWasm } from "./activation.ts";
import { adamwWasm } from "./adamw.ts";
import { attentionMapsWasm } from "./attention-maps.ts";
import { attentionWasm } from "./attention.ts";
import { cacheWriteWasm } from "./cache-write.ts";
import { crossEntropyWasm } from "./cross-entropy.ts";
import { dropoutWasm } from "./dropout.ts";
import { embeddingWasm } from "./embedding.ts";
import { linearWasm, panels } from "./linear.ts";
import { matmulWasm } from "./matmul.ts";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { residualWasm } from "./residual.ts";
import { rotaryWasm } from "./rotary.ts";
import { sliceWasm, transposeWasm } from "./shape.ts";

/** How a run differs from the call as it is. */
export interface RunOptions {
  /** Factor of all inputs and of the gradient of the output. @default 1 */
  readonly scale?: number;
  /** Runs the reference in place of the kernel. @default false */
  readonly isReference?: boolean;
}

/** A kernel of this package in one of the calls that it is tested with. */
export interface KernelRun {
  readonly name: string;
  readonly kernel: string;
  /** Outputs, and the gradients of all inputs where there are any. What else is made in it is freed. */
  run(options?: RunOptions): Tensor[];
}

function runsOf<C, R extends Output>(
  { inputs, withInputs, reference }: Operation<C, R>,
  own: Kernel<C, R>,
  cases: readonly KernelCase<C>[],
): KernelRun[] {
  const scaled = (call: C, scale: number): C =>
    withInputs(
      call,
      Object.fromEntries(Object.entries(inputs(call)).map(([name, x]) => [name, tf.mul(x, scale)])),
    );
  const runOf =
    ({ make, differentiable = true }: KernelCase<C>): KernelRun["run"] =>
    ({ scale = 1, isReference = false } = {}) =>
      tf.tidy(() => {
        const kernel = isReference ? reference : own;
        const call = scale === 1 ? make() : scaled(make(), scale);
        const differentiating = differentiable && own.gradient !== undefined;
        const { output, saved = [] } = kernel.forward(call, { differentiating });
        const outputs = Array.isArray(output) ? output : [output];
        if (!differentiating) return outputs;
        const dy = conformance.drawn("dy", outputs[0]!.shape, { scale });
        const gradients = kernel.gradient!({ call, saved, dy });
        return [...outputs, ...Object.keys(inputs(call)).map((input) => gradients[input]!())];
      });
  return cases
    .filter(({ supported = true }) => supported)
    .map((each) => ({ name: `${own.name}: ${each.name}`, kernel: own.name, run: runOf(each) }));
}

/** Every kernel of this package in every call of the conformance package, and the packing of weights. */
export const kernelRuns: readonly KernelRun[] = [
  ...runsOf(core.activationOperation, activationWasm, conformance.activationCases),
  ...runsOf(core.adamwOperation, adamwWasm, conformance.adamwCases),
  ...runsOf(attentionOperation, attentionWasm, conformance.attentionCases),
  ...runsOf(attentionMapsOperation, attentionMapsWasm, conformance.attentionMapsCases),
  ...runsOf(cacheWriteOperation, cacheWriteWasm, conformance.cacheWriteCases),
  ...runsOf(core.crossEntropyOperation, crossEntropyWasm, conformance.crossEntropyCases),
  ...runsOf(core.dropoutOperation, dropoutWasm, conformance.dropoutCases),
  ...runsOf(core.embeddingOperation, embeddingWasm, conformance.embeddingCases),
  ...runsOf(core.layerNormOperation, layerNormWasm, conformance.layerNormCases),
  ...runsOf(core.linearOperation, linearWasm, conformance.linearCases),
  ...runsOf(core.matmulOperation, matmulWasm, conformance.matmulCases),
  ...runsOf(core.residualOperation, residualWasm, conformance.residualCases),
  ...runsOf(core.rmsNormOperation, rmsNormWasm, conformance.rmsNormCases),
  ...runsOf(core.rotaryOperation, rotaryWasm, conformance.rotaryCases),
  ...runsOf(core.sliceOperation, sliceWasm, conformance.sliceCases),
  ...runsOf(core.transposeOperation, transposeWasm, conformance.transposeCases),
  ...(["linear", "conv1d"] as const).map((layout) => ({
    name: `packing: ${layout}`,
    kernel: "packing",
    run: () =>
      tf.tidy(() => {
        const weight = conformance.drawn("weight", [149, 137]);
        const values = panels.pack(weight, layout);
        return [
          values,
          panels.unpack({ kind: "packed", packing: panels, layout, shape: [149, 137], values }),
        ];
      }),
  })),
];
