import { kernel, rotaryOperation } from "@heddle/core";
import type { Kernel, RotaryCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** Cosines and sines of the angles of some tokens. */
interface AngleTable {
  readonly positions: Int32Array;
  readonly base: number;
  readonly width: number;
  /** [tokens, 2, width / 2] */
  readonly values: Float32Array;
}

/** Tables kept, since all layers of a model turn by the same angles. */
const TABLES_KEPT = 4;

/** The one used last in front. */
const kept: AngleTable[] = [];

function tableOf({ x, positions, base = 10_000, width = x.shape[3]! }: RotaryCall): AngleTable {
  const at = kept.findIndex(
    (table) =>
      table.base === base &&
      table.width === width &&
      table.positions.length === positions.length &&
      table.positions.every((position, i) => position === positions[i]),
  );
  const found = at >= 0 ? kept.splice(at, 1)[0]! : makeTable(positions.slice(), base, width);
  kept.unshift(found);
  kept.length = Math.min(kept.length, TABLES_KEPT);
  return found;
}

function makeTable(positions: Int32Array, base: number, width: number): AngleTable {
  const half = width / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => base ** ((-2 * i) / width));
  const values = new Float32Array(positions.length * width);
  for (const [token, position] of positions.entries())
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      values[token * width + i] = Math.cos(angle);
      values[token * width + half + i] = Math.sin(angle);
    }
  return { positions, base, width, values };
}

/** The pairs of x turned by their angles, or back by them. */
function turn(
  x: Tensor,
  angles: Tensor,
  { pairs = "half", positions, width }: RotaryCall,
  sign: 1 | -1,
): Tensor {
  const { address, output, run } = machine();
  const [batch, heads, length, depth] = x.shape as [number, number, number, number];
  const y = output(x.shape);
  const rows = batch * heads * length;
  run("rotary", [
    ...[x, angles, y].map(address),
    rows,
    depth,
    width ?? depth,
    length,
    positions.length === length ? rows : heads * length,
    pairs === "interleaved" ? 1 : 0,
    float(sign),
  ]);
  return y;
}

/** One pass over the rows, the angles from a table. */
export const rotaryWasm: Kernel<RotaryCall> = kernel(rotaryOperation, {
  name: "rotary.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward(call) {
    const angles = tf.tensor1d(tableOf(call).values);
    return { output: turn(call.x, angles, call, 1), saved: [angles] };
  },
  // A rotation's transpose is the rotation back.
  gradient: ({ call, saved, dy }) => ({ x: () => turn(dy, saved[0]!, call, -1) }),
});
