import { kernel, linearOperation } from "@heddle/core";
import type { Kernel, LinearCall, PackedMatrix, Packing } from "@heddle/core";
import { activationCodes } from "./activation.ts";
import { machine } from "./machine.ts";
import type { Word } from "./machine.ts";

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
    const { address, output, run, tile } = machine();
    const [into, out, turned] = sizesOf({ shape: weight.shape, layout });
    const values = output([Math.ceil(out / tile.columns) * tile.columns * into]);
    run("pack", [address(weight), address(values), into, out, turned, tile.columns]);
    return values;
  },
  unpack(packed) {
    const { address, output, run, tile } = machine();
    const plain = output(packed.shape);
    run("unpack", [address(plain), address(packed.values), ...sizesOf(packed), tile.columns]);
    return plain;
  },
};

/** The product from registers, with bias and activation on the hot tile; a plain weight is packed on the way. */
export const linearWasm: Kernel<LinearCall> = kernel(linearOperation, {
  name: "linear.f32.wasm.panels",
  backend: "wasm",
  unsupported: ({ weight }) =>
    "kind" in weight && weight.packing !== panels ? [`the weight is packed as ${weight.packing.name}`] : [],
  forward({ x, weight, bias, layout = "linear", activation }) {
    const { address, output, run, tile } = machine();
    const isPacked = "kind" in weight;
    const sizes = sizesOf(isPacked ? weight : { shape: weight.shape, layout });
    const y = output([...x.shape.slice(0, -1), sizes[1]]);
    const task: Word[] = [
      address(x),
      address(isPacked ? weight.values : weight),
      bias ? address(bias) : 0,
      address(y),
      y.size / sizes[1],
      ...sizes,
      isPacked ? 1 : 0,
      activation ? activationCodes[activation] : 0,
      tile.columns,
      tile.rows,
    ];
    run("linear", task);
    return { output: y };
  },
});
