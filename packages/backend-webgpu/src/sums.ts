import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, program } from "./program.ts";
import { output, run } from "./run.ts";

/** Rows that are summed in one pass; of more, this many blocks at most are summed first. */
const ROWS = 64;

/** Rows that one invocation adds up, and how many do. */
export interface RowBlocks {
  readonly block: number;
  readonly blocks: number;
}

/** A first pass over rows, whose sums one more pass adds up: short blocks, not many more than a block's rows. */
export function rowBlocks(rows: number): RowBlocks {
  const block = Math.ceil(rows / Math.max(1, Math.min(ROWS, Math.sqrt(rows))));
  return { block, blocks: Math.ceil(rows / Math.max(1, block)) };
}

/** An invocation adds up one column of a block of rows: neighbours read neighbours, and no one waits for another. */
const rowSumsProgram = program({
  name: "rowSums.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32", blocks: "u32", block: "u32", rows: "u32", width: "u32" },
  code: eachIndex(
    "uniforms.size",
    `  let column = i % uniforms.width;
  // Of all matrices, one after the other.
  let block = i / uniforms.width;
  let matrix = block / uniforms.blocks;
  let first = block % uniforms.blocks * uniforms.block;
  let last = min(first + uniforms.block, uniforms.rows);
  var sum = 0.0;
  for (var row = first; row < last; row++) {
    sum += x[(matrix * uniforms.rows + row) * uniforms.width + column];
  }
  y[i] = sum;`,
  ),
});

/** Sums over the rows of each of `batch` matrices, [batch, width], always in the same order. */
export function rowSums(x: Tensor, batch: number, width: number, shape: readonly number[]): Tensor {
  const rows = x.size / (batch * width) || 0;
  const { block, blocks } = rows > ROWS ? rowBlocks(rows) : { block: rows, blocks: 1 };
  const y = output(blocks === 1 ? shape : [batch, blocks, width]);
  run(rowSumsProgram, {
    buffers: { x, y },
    uniforms: { size: y.size, blocks, block, rows, width },
    groups: eachGroups(y.size),
    shares: {
      x: byLine(
        width / EACH,
        (n) => (Math.floor(n / blocks) * rows + Math.min(rows, (n % blocks) * block)) * width,
      ),
      y: EACH,
    },
  });
  if (blocks === 1) return y;
  const sums = rowSums(y, batch, width, shape);
  y.dispose();
  return sums;
}

/** Sums over all dimensions but the last. */
export function columnSums(x: Tensor): Tensor {
  const width = x.shape.at(-1)!;
  return rowSums(x, 1, width, [width]);
}

/** Sums along axes, which are 1 then. */
export function sumAlong(x: Tensor, axes: readonly number[]): Tensor {
  let sum = x;
  for (const axis of axes) {
    const { shape } = sum;
    if (shape[axis] === 1) continue;
    const [outer, inner] = [shape.slice(0, axis), shape.slice(axis + 1)].map((part) =>
      tf.util.sizeFromShape(part),
    ) as [number, number];
    const next = rowSums(sum, outer, inner, shape.with(axis, 1));
    if (sum !== x) sum.dispose();
    sum = next;
  }
  return sum;
}
