import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkOneOf } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import type { MatrixLayout, PackedMatrix } from "../packing.ts";
import { activationGradient, activations, applyActivation } from "./activation.ts";
import type { Activation } from "./activation.ts";
import { checkMatrix, plainOf } from "./matrix.ts";
import { checkFloats, checkFloatsOf, rowsOf, sumRows } from "./tensors.ts";

/** A call of `linear`. Shapes: N input width, M output width. */
export interface LinearCall {
  /** [..., N] */
  readonly x: Tensor;
  /** [M, N] in layout `linear` (torch.nn.Linear), [N, M] in layout `conv1d` (GPT-2), or packed from one of them. */
  readonly weight: Tensor | PackedMatrix;
  /** [M] */
  readonly bias?: Tensor;
  /** @default "linear", or that of a packed weight */
  readonly layout?: MatrixLayout;
  readonly activation?: Activation;
  /** [..., M], added last. @default nothing */
  readonly residual?: Tensor;
}

function checkWeight({ x, weight, bias, layout, residual }: LinearCall): void {
  const kept = "kind" in weight ? weight.layout : (layout ?? "linear");
  if ("kind" in weight) checkOneOf("linear: layout", layout ?? kept, [kept]);
  const width = x.shape.at(-1)!;
  const shape = kept === "linear" ? [null, width] : [width, null];
  checkMatrix("linear: weight", weight, shape);
  const out = weight.shape[kept === "linear" ? 0 : 1]!;
  if (bias) checkFloatsOf("linear: bias", bias, [out]);
  if (residual) checkFloatsOf("linear: residual", residual, [...x.shape.slice(0, -1), out]);
}

/** The weight as [N, M]. */
function columns({ weight, layout }: LinearCall): Tensor {
  const plain = plainOf(weight);
  const kept = "kind" in weight ? weight.layout : layout;
  return kept === "conv1d" ? plain : tf.transpose(plain);
}

const matrix = (x: Tensor): Tensor => tf.reshape(x, [rowsOf(x.shape), x.shape.at(-1)!]);

/** The operation behind `linear`. */
export const linearOperation: Operation<LinearCall> = defineOperation<LinearCall>({
  name: "linear",
  tensors: ["x", "weight", "bias", "residual"],
  needs: ["x", "weight"],
  validate(call) {
    const { x, layout = "linear", activation } = call;
    checkOneOf("linear: layout", layout, ["linear", "conv1d"]);
    checkFloats("linear: x", x, 1);
    checkWeight(call);
    if (activation !== undefined) checkOneOf("linear: activation", activation, activations);
  },
  // tfjs's matMul is fast on WASM only for plain matrices: transpose in a step of its own.
  forward(call) {
    const { x, bias, activation, residual } = call;
    const w = columns(call);
    const product = tf.matMul(matrix(x), w);
    const shape = [...x.shape.slice(0, -1), w.shape[1]!];
    const before = tf.reshape(bias ? tf.add(product, bias) : product, shape);
    const activated = activation ? applyActivation(activation, before) : before;
    const output = residual ? tf.add(activated, residual) : activated;
    return { output, ...(activation && { saved: [before] }) };
  },
  gradient({ call: { x, weight, layout = "linear", activation }, saved, dy }) {
    const w = weight as Tensor;
    const d = matrix(activation ? activationGradient(activation, saved[0]!, dy) : dy);
    return {
      x: () => tf.reshape(tf.matMul(d, layout === "linear" ? w : tf.transpose(w)), x.shape),
      weight: () =>
        layout === "linear" ? tf.matMul(tf.transpose(d), matrix(x)) : tf.matMul(tf.transpose(matrix(x)), d),
      bias: () => sumRows(d),
      residual: () => dy,
    };
  },
});

/** y = activation(x W + b) + residual over the last dimension. */
export function linear(call: LinearCall): Tensor {
  return run(linearOperation, call);
}
