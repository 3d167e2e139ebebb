/**
 * A boolean or number tree as closures, made once: no eval, so that it runs under a strict CSP.
 *
 * A node that does not depend on the key is one value a row; one that does fills a row of keys at a time, so that
 * the cost of a call is paid once a row and not once a pair.
 */
import type { BooleanNode, BooleanTable, ComparisonOp, IntegerBinaryOp, IntegerNode } from "./tree.ts";

/** The token attributes of one batch row. Query ones are indexed by row, key ones by position. */
export interface FrameAttributes {
  readonly query: Readonly<Record<string, Int32Array>>;
  readonly key: Readonly<Record<string, Int32Array>>;
}

/** Where a compiled tree stands: one query of one head, and the keys `keyStart + i * keyStep`. Written in place. */
export interface Frame {
  query: number;
  /** Index of the query among the rows of the call. */
  row: number;
  head: number;
  queryLength: number;
  keyLength: number;
  keyStart: number;
  keyStep: number;
  keyCount: number;
  attributes: FrameAttributes;
  /** Number of the run, set by `startRun`: a shared part is filled once a run. */
  run: number;
}

let runs = 0;

/** Says that the frame changed, so that nothing of the last row is used again. */
export function startRun(frame: Frame): void {
  frame.run = ++runs;
}

/** A compiled node: `scalar` serves nodes that do not depend on the key, `fill` the others. */
export type Compiled =
  | { readonly varies: false; readonly scalar: (frame: Frame) => number }
  | { readonly varies: true; readonly fill: (frame: Frame) => Int32Array };

/** A row of answers: writes 0 or 1 for each key of the frame to `out` from `at`. */
export type RowProgram = (frame: Frame, out: Uint8Array, at: number) => void;

const programs = new WeakMap<BooleanNode, RowProgram>();

/** The row program of an expression; the same expression object is compiled once. Not for use by two rows at once. */
export function compileBoolean(node: BooleanNode): RowProgram {
  let program = programs.get(node);
  if (!program) {
    const code = createCompiler().boolean(node);
    program = (frame, out, at) => {
      startRun(frame);
      if (!code.varies) out.fill(code.scalar(frame), at, at + frame.keyCount);
      else {
        const row = code.fill(frame);
        for (let i = 0; i < frame.keyCount; i++) out[at + i] = row[i]!;
      }
    };
    programs.set(node, program);
  }
  return program;
}

/** Makes closures of the parts of one tree, each shared part once. */
export interface Compiler {
  integer(node: IntegerNode): Compiled;
  boolean(node: BooleanNode): Compiled;
}

type Operation = IntegerBinaryOp | ComparisonOp | "divide" | "modulo" | "and" | "or";

/** One operation on two rows of `count` values; one loop an operation, so that each is compiled to a tight one. */
function combine(op: Operation, a: Int32Array, b: Int32Array, out: Int32Array, count: number): Int32Array {
  switch (op) {
    case "add":
      for (let i = 0; i < count; i++) out[i] = a[i]! + b[i]!;
      return out;
    case "subtract":
      for (let i = 0; i < count; i++) out[i] = a[i]! - b[i]!;
      return out;
    case "multiply":
      for (let i = 0; i < count; i++) out[i] = Math.imul(a[i]!, b[i]!);
      return out;
    case "minimum":
      for (let i = 0; i < count; i++) out[i] = Math.min(a[i]!, b[i]!);
      return out;
    case "maximum":
      for (let i = 0; i < count; i++) out[i] = Math.max(a[i]!, b[i]!);
      return out;
    case "divide":
      for (let i = 0; i < count; i++) out[i] = Math.floor(a[i]! / b[i]!);
      return out;
    case "modulo":
      for (let i = 0; i < count; i++) out[i] = a[i]! - Math.floor(a[i]! / b[i]!) * b[i]!;
      return out;
    case "equal":
      for (let i = 0; i < count; i++) out[i] = a[i] === b[i] ? 1 : 0;
      return out;
    case "less":
      for (let i = 0; i < count; i++) out[i] = a[i]! < b[i]! ? 1 : 0;
      return out;
    case "lessOrEqual":
      for (let i = 0; i < count; i++) out[i] = a[i]! <= b[i]! ? 1 : 0;
      return out;
    case "and":
      for (let i = 0; i < count; i++) out[i] = a[i]! & b[i]!;
      return out;
    case "or":
      for (let i = 0; i < count; i++) out[i] = a[i]! | b[i]!;
      return out;
  }
}

/** A row buffer that grows with the number of keys. */
function rowBuffer(): (frame: Frame) => Int32Array {
  let buffer = new Int32Array(0);
  return ({ keyCount }) => (buffer.length >= keyCount ? buffer : (buffer = new Int32Array(keyCount)));
}

/** A row that several parts share, filled once a run. */
function onceARun(code: Compiled): Compiled {
  if (!code.varies) return code;
  let run = 0;
  let row: Int32Array = new Int32Array(0);
  return {
    varies: true,
    fill: (frame) => {
      if (frame.run === run) return row;
      run = frame.run;
      return (row = code.fill(frame));
    },
  };
}

function fixed(value: number): Compiled {
  return { varies: false, scalar: () => value };
}

/** A value as a row: filled when it does not vary. */
export function asRow(code: Compiled): (frame: Frame) => Int32Array {
  if (code.varies) return code.fill;
  const buffer = rowBuffer();
  return (frame) => buffer(frame).fill(code.scalar(frame), 0, frame.keyCount);
}

function binary(op: Operation, left: Compiled, right: Compiled): Compiled {
  if (!left.varies && !right.varies) {
    const [a, b, out] = [new Int32Array(1), new Int32Array(1), new Int32Array(1)];
    return {
      varies: false,
      scalar: (frame) => {
        const [x, y] = [left.scalar(frame), right.scalar(frame)];
        a[0] = x;
        b[0] = y;
        return combine(op, a, b, out, 1)[0]!;
      },
    };
  }
  const [rowA, rowB, buffer] = [asRow(left), asRow(right), rowBuffer()];
  return {
    varies: true,
    fill: (frame) => combine(op, rowA(frame), rowB(frame), buffer(frame), frame.keyCount),
  };
}

function tableLookup(table: BooleanTable, head: Compiled, row: Compiled, column: Compiled): Compiled {
  const { heads, rows, columns, bits } = table;
  const outside = (value: number, size: number) => value < 0 || value >= size;
  const read = (h: number, r: number, c: number) =>
    outside(h, heads) || outside(r, rows) || outside(c, columns) ? 0 : bits[(h * rows + r) * columns + c]!;
  if (!head.varies && !row.varies && !column.varies)
    return {
      varies: false,
      scalar: (frame) => read(head.scalar(frame), row.scalar(frame), column.scalar(frame)),
    };
  const buffer = rowBuffer();
  const rowC = asRow(column);
  if (!head.varies && !row.varies)
    return {
      varies: true,
      fill: (frame) => {
        const [h, r, c, out] = [head.scalar(frame), row.scalar(frame), rowC(frame), buffer(frame)];
        if (outside(h, heads) || outside(r, rows)) return out.fill(0, 0, frame.keyCount);
        const base = (h * rows + r) * columns;
        for (let i = 0; i < frame.keyCount; i++) out[i] = outside(c[i]!, columns) ? 0 : bits[base + c[i]!]!;
        return out;
      },
    };
  const [rowH, rowR] = [asRow(head), asRow(row)];
  return {
    varies: true,
    fill: (frame) => {
      const [h, r, c, out] = [rowH(frame), rowR(frame), rowC(frame), buffer(frame)];
      for (let i = 0; i < frame.keyCount; i++) out[i] = read(h[i]!, r[i]!, c[i]!);
      return out;
    },
  };
}

/** A compiler for one tree. */
export function createCompiler(): Compiler {
  const known = new Map<IntegerNode | BooleanNode, Compiled>();
  const once = <N extends IntegerNode | BooleanNode>(make: (node: N) => Compiled) => {
    return (node: N): Compiled => {
      let code = known.get(node);
      if (!code) known.set(node, (code = onceARun(make(node))));
      return code;
    };
  };

  const integer = once((node: IntegerNode): Compiled => {
    switch (node.op) {
      case "constant":
        return fixed(node.value);
      case "variable": {
        const { name } = node;
        if (name !== "key") return { varies: false, scalar: (frame) => frame[name] };
        const buffer = rowBuffer();
        return {
          varies: true,
          fill: (frame) => {
            const out = buffer(frame);
            for (let i = 0; i < frame.keyCount; i++) out[i] = frame.keyStart + i * frame.keyStep;
            return out;
          },
        };
      }
      case "attribute": {
        const { name } = node;
        if (node.of === "query")
          return { varies: false, scalar: (frame) => frame.attributes.query[name]![frame.row]! };
        const buffer = rowBuffer();
        return {
          varies: true,
          fill: (frame) => {
            const [values, out] = [frame.attributes.key[name]!, buffer(frame)];
            for (let i = 0; i < frame.keyCount; i++) out[i] = values[frame.keyStart + i * frame.keyStep]!;
            return out;
          },
        };
      }
      case "divide":
      case "modulo":
        return binary(node.op, integer(node.left), fixed(node.divisor));
      default:
        return binary(node.op, integer(node.left), integer(node.right));
    }
  });

  const boolean = once((node: BooleanNode): Compiled => {
    switch (node.op) {
      case "literal":
        return fixed(node.value ? 1 : 0);
      case "and":
      case "or": {
        const parts = node.operands.map(boolean);
        // What does not depend on the key is joined first: it costs one operation a row.
        const ordered = [...parts.filter((part) => !part.varies), ...parts.filter((part) => part.varies)];
        const none = fixed(node.op === "and" ? 1 : 0);
        return ordered.length === 0 ? none : ordered.reduce((a, b) => binary(node.op, a, b));
      }
      case "not":
        return binary("equal", boolean(node.operand), fixed(0));
      case "table": {
        const head = node.table.heads === 1 ? fixed(0) : integer(node.head);
        return tableLookup(node.table, head, integer(node.row), integer(node.column));
      }
      default:
        return binary(node.op, integer(node.left), integer(node.right));
    }
  });
  return { integer, boolean };
}
