import { kernel, linearOperation, rowsOf } from "@heddle/core";
import type { Kernel, LinearCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activate } from "./activation.ts";
import { storageOf, unsupportedForm, VALUE_BYTES, valuesOf } from "./matrix-forms.ts";
import { productInto } from "./product.ts";
import type { Product } from "./product.ts";
import { output, rowParts } from "./program.ts";
import type { RowPart } from "./program.ts";
import { columnSums } from "./sums.ts";

/** Columns of a matrix [rows, width], copied where they are not all of them. */
function columnsOf(x: Tensor, { first, rows: count }: RowPart): Tensor {
  const width = x.shape.at(-1)!;
  return count === width ? x : tf.slice(tf.reshape(x, [-1, width]), [0, first], [-1, count]);
}

/** activation(x w + bias) + residual, [..., M]: one dispatch, or where the device cannot bind all, one a part. */
function apply({ x, weight, bias, layout: given = "linear", activation, residual }: LinearCall): Tensor {
  const layout = "kind" in weight ? weight.layout : given;
  const values = valuesOf(weight);
  const storage = storageOf(weight) ?? "f32";
  const bytes = VALUE_BYTES[storage];
  const [rows, inner] = [rowsOf(x.shape), x.shape.at(-1)!];
  const columns = weight.shape[layout === "linear" ? 0 : 1]!;
  const y = output([...x.shape.slice(0, -1), columns]);
  if (y.size === 0) return y;
  const parts = layout === "linear" ? rowParts(columns, inner, [bytes]) : rowParts(inner, columns, [bytes]);
  if (activation && layout === "conv1d" && parts.length > 1) {
    const activated = activate(activation, apply({ x, weight, ...(bias && { bias }), layout }));
    return residual ? tf.add(activated, residual) : activated;
  }
  for (const over of rowParts(rows, columns)) {
    const own =
      over.rows === rows ? x : tf.slice(tf.reshape(x, [rows, inner]), [over.first, 0], [over.rows, -1]);
    const all = { a: own, storage, batch: 1, rows: over.rows, inner, columns, bias, activation };
    let before: Product["residual"] = residual && over.of(residual);
    parts.forEach((part, i) => {
      if (layout === "linear") {
        const columnsOfPart = { y: over.of(y), first: part.first, width: columns };
        const b = part.of(values, bytes);
        productInto({ ...all, b, transposeB: true, columns: part.rows, residual: before }, columnsOfPart);
        return;
      }
      // Products of parts of the inner dimension are added one after the other.
      const product = {
        ...all,
        a: columnsOf(own, part),
        b: part.of(values, bytes),
        inner: part.rows,
        bias: i === 0 ? bias : undefined,
        residual: before,
      };
      const sum = i === parts.length - 1 ? over.of(y) : output([over.rows, columns]);
      productInto(product, { y: sum, first: 0, width: columns });
      before = sum;
    });
  }
  return y;
}

/** a^T b, the gradient of a weight, in parts of its rows. */
function weightGradient(a: Tensor, b: Tensor, shape: readonly number[]): Tensor {
  const [rows, columns] = shape as [number, number];
  const y = output(shape);
  for (const part of y.size > 0 ? rowParts(rows, columns) : [])
    productInto(
      {
        a: columnsOf(a, part),
        b,
        transposeA: true,
        batch: 1,
        rows: part.rows,
        inner: rowsOf(a.shape),
        columns,
      },
      { y: part.of(y), first: 0, width: columns },
    );
  return y;
}

/** One dispatch, forward and for each gradient; bias, activation and residual are added before a sum is written. */
export const linearWebGpu: Kernel<LinearCall> = kernel(linearOperation, {
  name: "linear.f32.webgpu.tiles",
  backend: "webgpu",
  unsupported: ({ weight }) => unsupportedForm("weight", weight),
  needs: ["x", "weight"],
  forward(call, { differentiating }) {
    const { activation, residual } = call;
    // The gradient needs what the activation was given.
    if (!activation || !differentiating) return { output: apply(call) };
    const { x, weight, bias, layout } = call;
    const before = apply({ x, weight, ...(bias && { bias }), ...(layout && { layout }) });
    const activated = activate(activation, before);
    return { output: residual ? tf.add(activated, residual) : activated, saved: [before] };
  },
  gradient({ call: { x, weight, layout = "linear", activation }, saved, dy }) {
    const d = activation ? activate(activation, saved[0]!, dy) : dy;
    // A packed weight has no gradient (core refuses it).
    const matrix = weight as Tensor;
    return {
      x: () => apply({ x: d, weight: matrix, layout: layout === "linear" ? "conv1d" : "linear" }),
      weight: () => {
        const [a, b] = layout === "linear" ? [d, x] : [x, d];
        return weightGradient(a, b, matrix.shape);
      },
      bias: () => columnSums(d),
      residual: () => dy,
    };
  },
});
