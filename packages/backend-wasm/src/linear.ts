import { kernel, linearOperation, rowsOf } from "@heddle/core";
import type { Activation, Kernel, LinearCall, MatrixLayout, PackedMatrix, Packing } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activate, activationCodes } from "./activation.ts";
import { machine, machineOf } from "./machine.ts";
import { columnSums } from "./sums.ts";
import { transposed } from "./transposed.ts";

/** What a weight's shape and layout say: input width, output width, and whether it is [out, in]. */
function sizesOf({
  shape,
  layout,
}: Pick<PackedMatrix, "shape" | "layout">): [into: number, out: number, turned: 0 | 1] {
  const [first, second] = shape as [number, number];
  return layout === "linear" ? [second, first, 1] : [first, second, 0];
}

/** Weights in panels of as many columns as the machine's tile has: the product reads each panel as one stream. */
export const panels: Packing = {
  name: "f32.panels",
  pack(weight, layout) {
    const { address, notePacked, output, run, tile } = machine();
    const [into, out, turned] = sizesOf({ shape: weight.shape, layout });
    const values = output([Math.ceil(out / tile.columns) * tile.columns * into]);
    notePacked(values);
    run("pack", [address(weight), address(values), into, out, turned, tile.columns]);
    return values;
  },
  unpack(packed) {
    // Another backend may be active by now.
    const { address, output, run, tile } = machineOf(packed.values);
    const plain = output(packed.shape);
    run("unpack", [address(plain), address(packed.values), ...sizesOf(packed), tile.columns]);
    return plain;
  },
};

interface Product {
  /** [..., N] */
  readonly x: Tensor;
  readonly weight: Tensor | PackedMatrix;
  readonly layout: MatrixLayout;
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation | undefined;
  /** [..., M] */
  readonly residual?: Tensor | undefined;
}

/** activation(x w + bias) + residual, [..., M]. */
function product({ x, weight, layout, bias, activation, residual }: Product): Tensor {
  const { address, output, run, tile } = machine();
  const isPacked = "kind" in weight;
  const sizes = sizesOf({ shape: weight.shape, layout });
  const y = output([...x.shape.slice(0, -1), sizes[1]]);
  run("linear", [
    address(x),
    address(isPacked ? weight.values : weight),
    bias ? address(bias) : 0,
    residual ? address(residual) : 0,
    address(y),
    rowsOf(x.shape),
    ...sizes,
    isPacked ? 1 : 0,
    activation ? activationCodes[activation] : 0,
    tile.columns,
    tile.rows,
  ]);
  return y;
}

/** x as a matrix over its last dimension, transposed: [N, rows]. */
function turned(x: Tensor): Tensor {
  const [rows, columns] = [rowsOf(x.shape), x.shape.at(-1)!];
  return transposed(x, { batch: 1, rows, shape: [columns, rows] });
}

/** The product from registers; bias, activation and residual on the hot tile; a plain weight is packed on the way. */
export const linearWasm: Kernel<LinearCall> = kernel(linearOperation, {
  name: "linear.f32.wasm.panels",
  backend: "wasm",
  unsupported: ({ weight }) =>
    "kind" in weight && weight.packing !== panels ? [`the weight is packed as ${weight.packing.name}`] : [],
  needs: ["x", "weight"],
  forward({ x, weight, bias, layout = "linear", activation, residual }, { differentiating }) {
    const call = { x, weight, bias, layout: "kind" in weight ? weight.layout : layout };
    // The gradient needs what the activation was given.
    if (!activation || !differentiating) return { output: product({ ...call, activation, residual }) };
    const before = product(call);
    const activated = activate(activation, before);
    return { output: residual ? tf.add(activated, residual) : activated, saved: [before] };
  },
  gradient({ call: { x, weight, layout = "linear", activation }, saved, dy }) {
    // Each gradient is a product of the same kind; a packed weight has none (core refuses it).
    const plain = weight as Tensor;
    const d = activation ? activate(activation, saved[0]!, dy) : dy;
    return {
      x: () => product({ x: d, weight: plain, layout: layout === "linear" ? "conv1d" : "linear" }),
      weight: () => {
        const [left, right] = layout === "linear" ? [d, x] : [x, d];
        const matrix = tf.reshape(right, [rowsOf(right.shape), right.shape.at(-1)!]);
        return product({ x: turned(left), weight: matrix, layout: "conv1d" });
      },
      bias: () => columnSums(d),
      residual: () => dy,
    };
  },
});
