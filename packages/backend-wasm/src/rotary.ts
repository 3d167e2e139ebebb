import { kernel, rotaryAngles, rotaryOperation } from "@heddle/core";
import type { Kernel, RotaryCall } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

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
    const angles = tf.tensor1d(rotaryAngles(call));
    return { output: turn(call.x, angles, call, 1), saved: [angles] };
  },
  // A rotation's transpose is the rotation back.
  gradient: ({ call, saved, dy }) => ({ x: () => turn(dy, saved[0]!, call, -1) }),
});
