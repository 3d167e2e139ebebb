import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkOneOf } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { activationGradient, activations, applyActivation } from "./activation.ts";
import type { Activation } from "./activation.ts";
import { checkFloats, checkFloatsOf, rowsOf, sumRows } from "./tensors.ts";

/** A call of `linear`. Shapes: N input width, M output width. */
export interface LinearCall {
  /** [..., N] */
  readonly x: Tensor;
  /** [M, N] in layout `linear` (torch.nn.Linear), [N, M] in layout `conv1d` (GPT-2). */
  readonly weight: Tensor;
  /** [M] */
  readonly bias?: Tensor;
  /** @default "linear" */
  readonly layout?: "linear" | "conv1d";
  readonly activation?: Activation;
}

const matrix = (x: Tensor): Tensor => tf.reshape(x, [rowsOf(x.shape), x.shape.at(-1)!]);

/** The operation behind `linear`. */
export const linearOperation: Operation<LinearCall> = defineOperation<LinearCall>({
  name: "linear",
  tensors: ["x", "weight", "bias"],
  needs: ["x", "weight"],
  validate({ x, weight, bias, layout = "linear", activation }) {
    checkOneOf("linear: layout", layout, ["linear", "conv1d"]);
    checkFloats("linear: x", x, 1);
    const width = x.shape.at(-1)!;
    checkFloatsOf("linear: weight", weight, layout === "linear" ? [null, width] : [width, null]);
    if (bias) checkFloatsOf("linear: bias", bias, [weight.shape[layout === "linear" ? 0 : 1]!]);
    if (activation !== undefined) checkOneOf("linear: activation", activation, activations);
  },
  // tfjs's matMul is fast on WASM only for plain matrices: transpose in a step of its own.
  forward({ x, weight, bias, layout = "linear", activation }) {
    const w = layout === "linear" ? tf.transpose(weight) : weight;
    const product = tf.matMul(matrix(x), w);
    const shape = [...x.shape.slice(0, -1), w.shape[1]!];
    const before = tf.reshape(bias ? tf.add(product, bias) : product, shape);
    if (!activation) return { output: before };
    return { output: applyActivation(activation, before), saved: [before] };
  },
  gradient({ call: { x, weight, layout = "linear", activation }, saved, dy }) {
    const d = matrix(activation ? activationGradient(activation, saved[0]!, dy) : dy);
    return {
      x: () => tf.reshape(tf.matMul(d, layout === "linear" ? weight : tf.transpose(weight)), x.shape),
      weight: () =>
        layout === "linear" ? tf.matMul(tf.transpose(d), matrix(x)) : tf.matMul(tf.transpose(matrix(x)), d),
      bias: () => sumRows(d),
    };
  },
});

/** y = activation(x W + b) over the last dimension. */
export function linear(call: LinearCall): Tensor {
  return run(linearOperation, call);
}
