import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkInteger, checkNumber, checkOneOf, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { rotaryAngles } from "./rotary-angles.ts";
import type { RotaryAngles } from "./rotary-angles.ts";
import { checkFloatsOf, checkIntegers } from "./tensors.ts";

/** A call of `rotary`. */
export interface RotaryCall extends RotaryAngles {
  /** Pairs turned together: i with i + D/2 (`half`, Llama) or 2i with 2i + 1 (`interleaved`, RoFormer). @default "half" */
  readonly pairs?: "half" | "interleaved";
}

function turn(call: RotaryCall, x: Tensor, sign: 1 | -1): Tensor {
  const { pairs = "half" } = call;
  const [batch, heads, length, depth] = x.shape as [number, number, number, number];
  const width = call.width ?? depth;
  const angles = tf.tensor(rotaryAngles(call), [call.positions.length / length, 1, length, width]);
  const [cos, sin] = tf.split(angles, 2, 3) as [Tensor, Tensor];
  const turned = tf.slice(x, [0, 0, 0, 0], [batch, heads, length, width]);
  const rest = tf.slice(x, [0, 0, 0, width], [batch, heads, length, depth - width]);
  const split =
    pairs === "half"
      ? tf.split(turned, 2, 3)
      : tf
          .split(tf.reshape(turned, [batch, heads, length * (width / 2), 2]), 2, 3)
          .map((part) => tf.reshape(part, [batch, heads, length, width / 2]));
  const [a, b] = split as [Tensor, Tensor];
  const s = tf.mul(sin, sign);
  const first = tf.sub(tf.mul(a, cos), tf.mul(b, s));
  const second = tf.add(tf.mul(b, cos), tf.mul(a, s));
  const joined =
    pairs === "half"
      ? tf.concat([first, second], 3)
      : tf.reshape(tf.stack([first, second], 4), [batch, heads, length, width]);
  return width === depth ? joined : tf.concat([joined, rest], 3);
}

/** The operation behind `rotary`. */
export const rotaryOperation: Operation<RotaryCall> = defineOperation<RotaryCall>({
  name: "rotary",
  tensors: ["x"],
  needs: [],
  validate({ x, positions, pairs = "half", base = 10_000, width }) {
    checkFloatsOf("rotary: x", x, [null, null, null, null]);
    const [batch, , length, depth] = x.shape as [number, number, number, number];
    checkOneOf("rotary: pairs", pairs, ["half", "interleaved"]);
    checkNumber("rotary: base", base, { min: 1 });
    checkInteger("rotary: width", width ?? depth, { min: 2, max: depth });
    if ((width ?? depth) % 2 !== 0) reject("rotary: width", "be even", width ?? depth);
    checkIntegers("rotary: positions", positions);
    if (positions.length !== length && positions.length !== batch * length)
      reject("rotary: positions", `hold ${length} or ${batch * length} numbers`, positions.length);
  },
  forward: (call) => ({ output: turn(call, call.x, 1) }),
  // A rotation's transpose is the rotation back.
  gradient: ({ call, dy }) => ({ x: () => turn(call, dy, -1) }),
});

/** Rotary position embedding, RoFormer: https://arxiv.org/abs/2104.09864 §3.2. */
export function rotary(call: RotaryCall): Tensor {
  return run(rotaryOperation, call);
}
