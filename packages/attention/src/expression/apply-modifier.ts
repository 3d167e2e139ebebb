/**
 * Score modifiers over arrays: a number tree as closures that fill a row of keys at a time, in float32 as the
 * kernels do it.
 */
import { checkInteger, reject } from "@heddle/core";
import { asRow, createCompiler, startRun } from "./compile.ts";
import type { Compiler, Frame, FrameAttributes } from "./compile.ts";
import type { StridedRange } from "./tile-range.ts";
import type { NumberBinaryOp, NumberNode, NumberUnaryOp } from "./tree.ts";

/** A looked-up tensor as one batch row and one head of the call see it. */
export interface LookupTable {
  /** Rows of `length` entries from `offset` on. */
  readonly values: Float32Array;
  /** @default 0 */
  readonly offset?: number;
  /** Entries of a row: the tensor's last size, n. */
  readonly length: number;
  /** Entries from one query row to the next: `length`, or 0 when all query rows share one. @default 0 */
  readonly rowStride?: number;
}

/** A tile of scores: one batch row, one head, a range of queries and one of keys. */
export interface ModifierContext {
  readonly queries: StridedRange;
  readonly keys: StridedRange;
  /** @default 0 */
  readonly head?: number;
  readonly queryLength: number;
  readonly keyLength: number;
  /** Position of the call's first query row: attributes and tensors are indexed by row. @default 0 */
  readonly queryOffset?: number;
  readonly attributes?: Partial<FrameAttributes>;
  readonly lookups?: Readonly<Record<string, LookupTable>>;
}

interface ScoreFrame extends Frame {
  scores: Float32Array;
  lookups: Readonly<Record<string, LookupTable>>;
}

type Fill = (frame: ScoreFrame) => Float32Array;
const programs = new WeakMap<NumberNode, Fill>();

/**
 * A number expression (a modifier or a derivative of one) over a tile of scores [queries.count, keys.count]; a new
 * array of the same size. The tree is compiled once an object.
 */
export function applyModifier(
  node: NumberNode,
  scores: Float32Array,
  context: ModifierContext,
): Float32Array<ArrayBuffer> {
  const {
    queries,
    keys,
    head = 0,
    queryLength,
    keyLength,
    queryOffset = 0,
    attributes,
    lookups = {},
  } = context;
  checkInteger("applyModifier: keys.count", keys.count, { min: 0 });
  checkInteger("applyModifier: queries.count", queries.count, { min: 0 });
  if (scores.length !== queries.count * keys.count)
    reject("applyModifier: scores", `have ${queries.count} x ${keys.count} entries`, scores.length);
  let fill = programs.get(node);
  if (!fill) programs.set(node, (fill = compileNumber(node)));
  const frame: ScoreFrame = {
    query: 0,
    row: 0,
    head,
    queryLength,
    keyLength,
    keyStart: keys.start,
    keyStep: keys.step,
    keyCount: keys.count,
    attributes: { query: attributes?.query ?? {}, key: attributes?.key ?? {} },
    run: 0,
    scores,
    lookups,
  };
  const out = new Float32Array(scores.length);
  for (let at = 0; at < queries.count; at++) {
    frame.query = queries.start + at * queries.step;
    frame.row = frame.query - queryOffset;
    frame.scores = scores.subarray(at * keys.count, (at + 1) * keys.count);
    startRun(frame);
    out.set(fill(frame).subarray(0, keys.count), at * keys.count);
  }
  return out;
}

function numberBuffer(): (frame: Frame) => Float32Array {
  let buffer = new Float32Array(0);
  return ({ keyCount }) => (buffer.length >= keyCount ? buffer : (buffer = new Float32Array(keyCount)));
}

function compileNumber(root: NumberNode): Fill {
  const compiler = createCompiler();
  const known = new Map<NumberNode, Fill>();
  const compile = (node: NumberNode): Fill => {
    let fill = known.get(node);
    if (!fill) known.set(node, (fill = onceARun(make(node, compile, compiler))));
    return fill;
  };
  return compile(root);
}

function onceARun(fill: Fill): Fill {
  let run = 0;
  let row: Float32Array = new Float32Array(0);
  return (frame) => {
    if (frame.run === run) return row;
    run = frame.run;
    return (row = fill(frame));
  };
}

function make(node: NumberNode, compile: (node: NumberNode) => Fill, compiler: Compiler): Fill {
  const buffer = numberBuffer();
  switch (node.op) {
    case "score":
      return (frame) => frame.scores;
    case "number":
      return (frame) => buffer(frame).fill(node.value, 0, frame.keyCount);
    case "fromInteger": {
      const integers = asRow(compiler.integer(node.operand));
      return (frame) => {
        const [from, out] = [integers(frame), buffer(frame)];
        for (let i = 0; i < frame.keyCount; i++) out[i] = from[i]!;
        return out;
      };
    }
    case "negate":
    case "tanh":
    case "exp": {
      const operand = compile(node.operand);
      return (frame) => unary(node.op, operand(frame), buffer(frame), frame.keyCount);
    }
    case "select": {
      const condition = asRow(compiler.boolean(node.condition));
      const [whenTrue, whenFalse] = [compile(node.whenTrue), compile(node.whenFalse)];
      return (frame) => {
        const [test, a, b, out] = [condition(frame), whenTrue(frame), whenFalse(frame), buffer(frame)];
        for (let i = 0; i < frame.keyCount; i++) out[i] = test[i] ? a[i]! : b[i]!;
        return out;
      };
    }
    case "lookup": {
      const index = asRow(compiler.integer(node.index));
      return (frame) => {
        const table = Object.hasOwn(frame.lookups, node.table) ? frame.lookups[node.table] : undefined;
        if (!table) reject(`lookups.${node.table}`, "be given, since the modifier reads it", undefined);
        const { values, offset = 0, length, rowStride = 0 } = table;
        const [at, base, out] = [index(frame), offset + frame.row * rowStride, buffer(frame)];
        for (let i = 0; i < frame.keyCount; i++)
          out[i] = at[i]! >= 0 && at[i]! < length ? values[base + at[i]!]! : 0;
        return out;
      };
    }
    default: {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (frame) => binary(node.op, left(frame), right(frame), buffer(frame), frame.keyCount);
    }
  }
}

function unary(op: NumberUnaryOp, a: Float32Array, out: Float32Array, count: number): Float32Array {
  switch (op) {
    case "negate":
      for (let i = 0; i < count; i++) out[i] = -a[i]!;
      return out;
    case "tanh":
      for (let i = 0; i < count; i++) out[i] = Math.tanh(a[i]!);
      return out;
    case "exp":
      for (let i = 0; i < count; i++) out[i] = Math.exp(a[i]!);
      return out;
  }
}

function binary(
  op: NumberBinaryOp,
  a: Float32Array,
  b: Float32Array,
  out: Float32Array,
  count: number,
): Float32Array {
  switch (op) {
    case "add":
      for (let i = 0; i < count; i++) out[i] = a[i]! + b[i]!;
      return out;
    case "subtract":
      for (let i = 0; i < count; i++) out[i] = a[i]! - b[i]!;
      return out;
    case "multiply":
      for (let i = 0; i < count; i++) out[i] = a[i]! * b[i]!;
      return out;
    case "divide":
      for (let i = 0; i < count; i++) out[i] = a[i]! / b[i]!;
      return out;
  }
}
