/**
 * Expressions over whole grids of pairs, for the reference: masks as tensors, integer parts of score modifiers as
 * tensors, and score modifiers with their derivatives as compositions of tfjs operations.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { createCompiler, startRun } from "./expression/compile.ts";
import type { Compiled, Frame } from "./expression/compile.ts";
import { checkAllowsSomething, copyMaskShape, offsetsOf, sameMaskShape } from "./expression/mask-shape.ts";
import { attributesOfRow, patternMask } from "./expression/mask.ts";
import type { MaskShape, PatternMask } from "./expression/mask.ts";
import { reads } from "./expression/tree.ts";
import type { AttentionPattern, BooleanNode, IntegerNode, NumberNode } from "./expression/tree.ts";

interface KeptMask {
  readonly shape: MaskShape;
  readonly mask: PatternMask;
}

const kept = new WeakMap<AttentionPattern, KeptMask>();

/** The mask of a call. The last one of each pattern is kept, since the layers of a model ask for the same. */
export function keptMask(pattern: AttentionPattern, shape: MaskShape): PatternMask {
  const last = kept.get(pattern);
  if (last && sameMaskShape(last.shape, shape)) return last.mask;
  const mask = patternMask(pattern, shape);
  checkAllowsSomething(pattern, shape, mask.bits.includes(1));
  kept.set(pattern, { shape: copyMaskShape(shape), mask });
  return mask;
}

/** An expression as a program that fills rows. */
function compileNode(node: IntegerNode | BooleanNode): Compiled {
  const compiler = createCompiler();
  switch (node.op) {
    case "constant":
    case "variable":
    case "attribute":
    case "add":
    case "subtract":
    case "multiply":
    case "minimum":
    case "maximum":
    case "divide":
    case "modulo":
      return compiler.integer(node);
    default:
      return compiler.boolean(node);
  }
}

/** Values of an integer or boolean expression on a grid, [B or 1, H or 1, Lq, Lk]. */
function gridOf(node: IntegerNode | BooleanNode, shape: MaskShape): { values: Int32Array; shape: number[] } {
  const { attributes: sides, variables } = reads(node);
  const offsets = offsetsOf(shape);
  const { heads: allHeads, queryRows: rows, keyLength: keys, attributes = {} } = shape;
  const usesAttributes = sides.query.size + sides.key.size > 0;
  const batch = Math.max(usesAttributes ? (attributes.batch ?? 1) : 1, offsets.length);
  const heads = variables.has("head") ? allHeads : 1;
  const values = new Int32Array(batch * heads * rows * keys);
  const rowsGiven = attributes.batch ?? 1;
  const attributesAt = (side: "query" | "key", b: number, length: number): Record<string, Int32Array> =>
    attributesOfRow({ where: "attention", reader: "a modifier" }, side, sides[side], attributes, {
      row: rowsGiven > 1 ? b : 0,
      batch: rowsGiven,
      length,
    });
  const code = compileNode(node);
  let next = 0;
  for (let b = 0; b < batch; b++) {
    const offset = offsets[Math.min(b, offsets.length - 1)]!;
    const frame: Frame = {
      query: 0,
      row: 0,
      head: 0,
      queryLength: offset + rows,
      keyLength: keys,
      keyStart: 0,
      keyStep: 1,
      keyCount: keys,
      attributes: { query: attributesAt("query", b, rows), key: attributesAt("key", b, keys) },
      run: 0,
    };
    for (frame.head = 0; frame.head < heads; frame.head++)
      for (frame.row = 0; frame.row < rows; frame.row++, next += keys) {
        frame.query = offset + frame.row;
        startRun(frame);
        if (code.varies) {
          const { fill: rowOf } = code;
          values.set(rowOf(frame).subarray(0, keys), next);
        } else values.fill(code.scalar(frame), next, next + keys);
      }
  }
  return { values, shape: [batch, heads, rows, keys] };
}

/** What a modifier is evaluated over. */
export interface ScoreGrid {
  /** Scores before the modifier, [B, H, Lq, Lk]. */
  readonly scores: Tensor;
  readonly shape: MaskShape;
  /** Tables by name, [B|1, H|1, Lq|1, n]. */
  readonly tables: Readonly<Record<string, Tensor>>;
}

/** Number of the table entry, flat over (row, n), that each pair reads. */
function entries(index: IntegerNode, table: Tensor, shape: MaskShape): { flat: Int32Array; shape: number[] } {
  const grid = gridOf(index, shape);
  const [, , tableRows, n] = table.shape as [number, number, number, number];
  const flat = grid.values.map((value, i) => {
    // An index outside the table reads 0: the entry behind the last one.
    if (value < 0 || value >= n) return tableRows * n;
    const row = Math.floor(i / shape.keyLength) % shape.queryRows;
    return (tableRows === 1 ? 0 : row * n) + value;
  });
  return { flat, shape: grid.shape };
}

/** Rows and columns of the matrix that a table is seen as: one row for each of its batch rows and heads. */
function lookupTensor(index: IntegerNode, table: Tensor, shape: MaskShape): Tensor {
  const { flat, shape: grid } = entries(index, table, shape);
  const [batch, heads, rows, n] = table.shape as [number, number, number, number];
  const pairs = grid[2]! * grid[3]!;
  const flatTable = tf.pad(tf.reshape(table, [batch, heads, rows * n]), [
    [0, 0],
    [0, 0],
    [0, 1],
  ]);
  if (grid[0] === 1 && grid[1] === 1) {
    const found = tf.gather(flatTable, tf.tensor1d(flat, "int32"), 2);
    return tf.reshape(found, [batch, heads, grid[2]!, grid[3]!]);
  }
  // The index differs by batch row or head: gather each of them on its own.
  const [b, h] = [Math.max(batch, grid[0]!), Math.max(heads, grid[1]!)];
  const parts: Tensor[] = [];
  for (let i = 0; i < b; i++)
    for (let j = 0; j < h; j++) {
      const start = (Math.min(i, grid[0]! - 1) * grid[1]! + Math.min(j, grid[1]! - 1)) * pairs;
      const line = tf.reshape(
        tf.slice(flatTable, [Math.min(i, batch - 1), Math.min(j, heads - 1), 0], [1, 1, rows * n + 1]),
        [rows * n + 1],
      );
      parts.push(tf.gather(line, tf.tensor1d(flat.slice(start, start + pairs), "int32")));
    }
  return tf.reshape(tf.stack(parts), [b, h, grid[2]!, grid[3]!]);
}

/** Gradient of a table from the gradient of what each pair read of it; `upstream` is [B, H, Lq, Lk]. */
export function lookupGradient(
  index: IntegerNode,
  table: Tensor,
  shape: MaskShape,
  upstream: Tensor,
): Tensor {
  const { flat, shape: grid } = entries(index, table, shape);
  const [batch, heads, rows, n] = table.shape as [number, number, number, number];
  const [b, h, queries, keys] = upstream.shape as [number, number, number, number];
  const pairs = queries * keys;
  const parts: Tensor[] = [];
  for (let i = 0; i < b; i++)
    for (let j = 0; j < h; j++) {
      const start = (Math.min(i, grid[0]! - 1) * grid[1]! + Math.min(j, grid[1]! - 1)) * pairs;
      const where = tf.tensor2d(flat.slice(start, start + pairs), [pairs, 1], "int32");
      const values = tf.reshape(tf.slice(upstream, [i, j, 0, 0], [1, 1, queries, keys]), [pairs]);
      parts.push(tf.slice(tf.scatterND(where, values, [rows * n + 1]), [0], [rows * n]));
    }
  let sum: Tensor = tf.reshape(tf.stack(parts), [b, h, rows, n]);
  if (batch === 1 && b > 1) sum = tf.sum(sum, 0, true);
  if (heads === 1 && h > 1) sum = tf.sum(sum, 1, true);
  return sum;
}

/** Value of a number expression over a grid of scores; its shape broadcasts to that of the scores. */
export function evaluateOnGrid(node: NumberNode, grid: ScoreGrid): Tensor {
  const value = (part: NumberNode): Tensor => evaluateOnGrid(part, grid);
  switch (node.op) {
    case "score":
      return grid.scores;
    case "number":
      return tf.scalar(node.value);
    case "fromInteger": {
      const { values, shape } = gridOf(node.operand, grid.shape);
      return tf.tensor(Float32Array.from(values), shape);
    }
    case "add":
      return tf.add(value(node.left), value(node.right));
    case "subtract":
      return tf.sub(value(node.left), value(node.right));
    case "multiply":
      return tf.mul(value(node.left), value(node.right));
    case "divide":
      return tf.div(value(node.left), value(node.right));
    case "negate":
      return tf.neg(value(node.operand));
    case "tanh":
      return tf.tanh(value(node.operand));
    case "exp":
      return tf.exp(value(node.operand));
    case "select": {
      const { values, shape } = gridOf(node.condition, grid.shape);
      return tf.where(tf.tensor(values, shape, "bool"), value(node.whenTrue), value(node.whenFalse));
    }
    case "lookup":
      return lookupTensor(node.index, grid.tables[node.table]!, grid.shape);
  }
}
