/**
 * What is left to tfjs, whose programs bind tensors whole: its engine adds up the gradients of what is used twice,
 * gradients are clipped by their squares' sums, and weights of one input are joined. Of tensors beyond the binding limit
 * our own programs do it.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { NamedAttrMap, Tensor } from "@tensorflow/tfjs-core";
import { concatenate } from "./concat.ts";
import { engine } from "./engine.ts";
import { canBind } from "./parts.ts";
import { combine } from "./residual.ts";
import { sumAlong } from "./sums.ts";

type Inputs = Readonly<Record<string, Tensor>>;

/** For tensors of one shape, or a tensor and a single value. */
function elementwise(sign: "+" | "*", { a, b }: Inputs): Tensor | undefined {
  const [x, y] = a!.size >= b!.size ? [a!, b!] : [b!, a!];
  if (x.dtype !== "float32" || y.dtype !== "float32") return undefined;
  if (String(x.shape) === String(y.shape)) return combine(sign, x, y);
  if (y.size !== 1) return undefined;
  const result = combine(sign, x, y, { repeats: x.size, inner: 1 });
  const shape = tf.backend_util.assertAndGetBroadcastShape(x.shape, y.shape);
  if (shape.length === x.shape.length) return result;
  const shaped = tf.reshape(result, shape);
  result.dispose();
  return shaped;
}

/** Tensors one after the other along a dimension. */
function concat(inputs: Inputs, { axis }: NamedAttrMap): Tensor | undefined {
  const parts = Object.values(inputs);
  if (parts.some(({ dtype }) => dtype !== "float32")) return undefined;
  return concatenate({ parts, axis: tf.util.parseAxisParam(axis as number, parts[0]!.shape)[0]! });
}

function sum({ x }: Inputs, { axis, keepDims }: NamedAttrMap): Tensor | undefined {
  if (x!.dtype !== "float32") return undefined;
  const axes = tf.util.parseAxisParam(axis as number | number[], x!.shape);
  const shape = x!.shape.map((length, i) => (axes.includes(i) ? 1 : length));
  const kept = keepDims === true ? shape : shape.filter((_, i) => !axes.includes(i));
  const total = sumAlong(x!, axes);
  const shaped = tf.reshape(total, kept);
  if (total !== x) total.dispose();
  return shaped;
}

/** By the names of tfjs's kernels; `undefined` is left to these. */
const own: Readonly<Record<string, (inputs: Inputs, attributes: NamedAttrMap) => Tensor | undefined>> = {
  Add: (inputs) => elementwise("+", inputs),
  Concat: concat,
  Multiply: (inputs) => elementwise("*", inputs),
  Sum: sum,
};

let isDone = false;

/** Puts these before tfjs's kernels, once, when they are there. */
export function runTfjsInParts(): void {
  if (isDone) return;
  isDone = true;
  for (const [name, inParts] of Object.entries(own)) {
    const plain = tf.getKernel(name, "webgpu");
    tf.unregisterKernel(name, "webgpu");
    tf.registerKernel({
      ...plain,
      kernelFunc(given) {
        const inputs = given.inputs as Inputs;
        const { limits } = engine().device;
        const values = Object.values(inputs).reduce(
          (sum, { shape }) => sum + tf.util.sizeFromShape(shape),
          0,
        );
        const isWhole = canBind(values, limits);
        return (isWhole ? undefined : inParts(inputs, given.attrs ?? {})) ?? plain.kernelFunc(given);
      },
    });
  }
}
