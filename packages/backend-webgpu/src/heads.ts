/** Shapes: B batch, H heads, L length, D head width, W width of a row. */
import { mergeHeadsOperation, splitHeadsOperation } from "@heddle/attention";
import type { MergeHeadsCall, SplitHeadsCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { headsInPlace, rowsInPlace } from "./heads-in-place.ts";
import type { Heads } from "./heads-in-place.ts";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import type { Values } from "./run.ts";

/** The result's value i, where it lies among the other's. */
const codes = {
  split: `
  let place = i % uniforms.head_width;
  let step = i / uniforms.head_width % uniforms.length;
  let head = i / uniforms.head_width / uniforms.length % uniforms.heads;
  let batch = i / uniforms.head_width / uniforms.length / uniforms.heads;
  let column = uniforms.begin + head * uniforms.head_width + place;
  y[i] = x[(batch * uniforms.length + step) * uniforms.width + column];`,
  merge: `
  let column = i % uniforms.width - uniforms.begin;
  // Those before the first head wrap round, and are beyond the last.
  if (column >= uniforms.heads * uniforms.head_width) {
    y[i] = Value();
    return;
  }
  let step = i / uniforms.width % uniforms.length;
  let batch = i / uniforms.width / uniforms.length;
  let place = column % uniforms.head_width;
  let head = column / uniforms.head_width;
  y[i] = x[((batch * uniforms.heads + head) * uniforms.length + step) * uniforms.head_width + place];`,
} as const;

const headsProgram = programs(({ way, type }: { way: keyof typeof codes; type: "f32" | "vec4f" }) =>
  program({
    name: `heads.${type}.${way}`,
    reads: { x: type },
    writes: { y: type },
    uniforms: { size: "u32", heads: "u32", length: "u32", head_width: "u32", width: "u32", begin: "u32" },
    code: `
alias Value = ${type};${eachIndex("uniforms.size", codes[way])}`,
  }),
);

/** All values keep their places, in decoding for example. */
const areAsTheyLie = (x: Tensor, { heads, length }: Heads, shape: readonly number[]): boolean =>
  tf.util.sizeFromShape([...shape]) === x.size && (heads === 1 || length === 1);

function copy(
  way: keyof typeof codes,
  x: Values,
  { heads, length, headWidth, width, begin }: Heads,
  y: Values,
): void {
  const { size } = y;
  const per = [headWidth, width, begin].every((n) => n % 4 === 0) ? 4 : 1;
  const [apart, inRows] = [heads * length * headWidth, length * width];
  const [ofX, ofY] = way === "split" ? [inRows, apart] : [apart, inRows];
  run(headsProgram({ way, type: per === 4 ? "vec4f" : "f32" }), {
    buffers: { x, y },
    uniforms: {
      size: size / per,
      heads,
      length,
      head_width: headWidth / per,
      width: width / per,
      begin: begin / per,
    },
    groups: eachGroups(size / per),
    shares: { x: byLine(ofY / per / EACH, (batch) => batch * ofX), y: EACH * per },
  });
}

function move(way: keyof typeof codes, x: Tensor, heads: Heads, shape: readonly number[]): Tensor {
  if (areAsTheyLie(x, heads, shape)) return tf.reshape(x, [...shape]);
  const y = output(shape);
  copy(way, x, heads, y);
  return y;
}

/** Heads that stay in their rows until somebody wants them apart. */
function leave(x: Tensor, heads: Heads, shape: readonly number[]): Tensor {
  if (areAsTheyLie(x, heads, shape)) return tf.reshape(x, [...shape]);
  return headsInPlace(x, heads, shape, (rows, apart) => copy("split", rows, heads, apart));
}

/** Heads [B, H, L, D] to be written where they will be merged: side by side in rows. */
export function sideBySide(shape: readonly [number, number, number, number]): Tensor {
  const [batch, heads, length, headWidth] = shape;
  const width = heads * headWidth;
  const rows = output([batch, length, width]);
  const apart = leave(rows, { heads, length, headWidth, width, begin: 0 }, shape);
  rows.dispose();
  return apart;
}

/** Heads out of rows, as a tensor of a shape. */
export function split(x: Tensor, heads: Heads, shape: readonly number[]): Tensor {
  return move("split", x, heads, shape);
}

/** Heads back into rows, zeros around them. */
export function merge(x: Tensor, heads: Heads, shape: readonly number[]): Tensor {
  return move("merge", x, heads, shape);
}

/** Where the heads of a call lie. */
function headsOf({ x, heads, begin = 0, headWidth = x.shape[2]! / heads }: SplitHeadsCall): Heads {
  return { heads, length: x.shape[1]!, headWidth, width: x.shape[2]!, begin };
}

/** The same for heads that are all of a row. */
function allHeads({ shape }: Tensor): Heads {
  const [, heads, length, headWidth] = shape as [number, number, number, number];
  return { heads, length, headWidth, width: heads * headWidth, begin: 0 };
}

/** No copy where attention is all that reads them, from a part of fused projections too. */
export const splitHeadsWebGpu: Kernel<SplitHeadsCall> = kernel(splitHeadsOperation, {
  name: "splitHeads.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward(call) {
    const at = headsOf(call);
    return { output: leave(call.x, at, [call.x.shape[0]!, at.heads, at.length, at.headWidth]) };
  },
  gradient: ({ call, dy }) => ({ x: () => merge(dy, headsOf(call), call.x.shape) }),
});

/** No copy of what attention wrote side by side, otherwise one. */
export const mergeHeadsWebGpu: Kernel<MergeHeadsCall> = kernel(mergeHeadsOperation, {
  name: "mergeHeads.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward({ x }) {
    const at = allHeads(x);
    const shape = [x.shape[0]!, at.length, at.width];
    const rows = rowsInPlace(x);
    return { output: rows ? tf.reshape(rows, shape) : merge(x, at, shape) };
  },
  gradient: ({ call: { x }, dy }) => ({ x: () => split(dy, allHeads(x), x.shape) }),
});
