import { kernel, residualOperation } from "@heddle/core";
import type { Kernel, ResidualCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";
import { rowSums } from "./sums.ts";

/** x as [outer, repeats, inner], over which y is [outer, inner]. */
interface Repetition {
  readonly outer: number;
  readonly repeats: number;
  readonly inner: number;
}

/** How y is repeated along x; undefined when that is along dimensions that do not lie together. */
function repetitionOf({ x, y }: ResidualCall): Repetition | undefined {
  const missing = x.shape.length - y.shape.length;
  const axes = x.shape.flatMap((length, axis) => (length === 1 ? [] : [axis]));
  const repeated = axes.filter((axis) => axis < missing || y.shape[axis - missing] === 1);
  if (repeated.length === 0) return { outer: 1, repeats: 1, inner: x.size };
  const [first, last] = [repeated[0]!, repeated.at(-1)!];
  if (axes.some((axis) => axis > first && axis < last && !repeated.includes(axis))) return undefined;
  const lengthOf = (begin: number, end: number): number => tf.util.sizeFromShape(x.shape.slice(begin, end));
  return {
    outer: lengthOf(0, first),
    repeats: lengthOf(first, last + 1),
    inner: lengthOf(last + 1, x.shape.length),
  };
}

/** One pass over x, y staying where it is. */
export const residualWasm: Kernel<ResidualCall> = kernel(residualOperation, {
  name: "residual.f32.wasm",
  backend: "wasm",
  unsupported: (call) =>
    repetitionOf(call) ? [] : ["y is repeated along dimensions that do not lie together"],
  needs: [],
  forward(call) {
    const { address, output, run } = machine();
    const { repeats, inner } = repetitionOf(call)!;
    const sum = output(call.x.shape);
    run("add", [...[call.x, call.y, sum].map(address), sum.size, repeats, inner]);
    return { output: sum };
  },
  gradient: ({ call, dy }) => ({
    x: () => dy,
    y: () => {
      const { outer, repeats, inner } = repetitionOf(call)!;
      return repeats === 1 ? tf.reshape(dy, call.y.shape) : rowSums(dy, outer, inner, call.y.shape);
    },
  }),
});
