/**
 * Expressions as WebAssembly instructions that leave their value on the stack: i32 for integers and booleans
 * (0 or 1), f32 for numbers. Branch-free, so that a part met twice is kept in a local the first time.
 */
import { numberParts } from "./derivative.ts";
import type { EmitLayout } from "./emit-layout.ts";
import { children } from "./tree.ts";
import type {
  AttributeSide,
  BooleanNode,
  BooleanTable,
  ExpressionNode,
  IntegerNode,
  NumberNode,
  VariableName,
} from "./tree.ts";
import { op, wasmType } from "./wasm-writer.ts";
import type { FunctionWriter } from "./wasm-writer.ts";

/** How often a part has to be computed: once a call (0), once a query (1) or once a pair (2). */
export type Level = 0 | 1 | 2;

/** A looked-up tensor: locals with the address of the query's row and its number of entries. */
export interface LookupLocals {
  readonly row: number;
  readonly length: number;
}

/** Where an expression finds its inputs: indices of locals. */
export interface ExpressionInputs {
  readonly variables: Readonly<Record<VariableName, number>>;
  /** Row of the query in the call: what query attributes are indexed by. */
  readonly row: number;
  readonly tables: number;
  /** Address of an attribute's values. */
  readonly attribute: (of: AttributeSide, name: string) => number;
  readonly lookup: (name: string) => LookupLocals;
  /** The local with the score; used by numbers only. */
  readonly score: number;
  /** Indices of the module's functions; used by numbers only. */
  readonly functions: { readonly exp: number; readonly tanh: number };
}

/** A tree to emit, with the type of its value. */
export type Root =
  | { readonly type: "word"; readonly node: IntegerNode | BooleanNode }
  | { readonly type: "number"; readonly node: NumberNode };

interface Part {
  readonly level: Level;
  uses: number;
}

const binaryOps = {
  add: op.i32Add,
  subtract: op.i32Sub,
  multiply: op.i32Mul,
  equal: op.i32Eq,
  less: op.i32LtS,
  lessOrEqual: op.i32LeS,
} as const;

const numberOps = { add: op.f32Add, subtract: op.f32Sub, multiply: op.f32Mul, divide: op.f32Div } as const;

/** The parts of a tree with their types, from left to right. */
function parts(root: Root): Root[] {
  const numbers: readonly ExpressionNode[] = root.type === "number" ? numberParts(root.node) : [];
  return children(root.node).map((node): Root =>
    numbers.includes(node)
      ? { type: "number", node: node as NumberNode }
      : { type: "word", node: node as IntegerNode | BooleanNode },
  );
}

/** Emits the expressions of one function. */
export class ExpressionWriter {
  readonly #fn: FunctionWriter;
  readonly #inputs: ExpressionInputs;
  readonly #layout: EmitLayout;
  readonly #roots: readonly Root[];
  readonly #parts = new Map<ExpressionNode, Part>();
  readonly #kept = new Map<ExpressionNode, number>();

  constructor(fn: FunctionWriter, inputs: ExpressionInputs, layout: EmitLayout, roots: readonly Root[]) {
    this.#fn = fn;
    this.#inputs = inputs;
    this.#layout = layout;
    this.#roots = roots;
    for (const root of roots) this.#count(root);
  }

  /** Computes the largest parts of all roots that belong to a level into locals, for the loops inside to read. */
  hoist(level: Exclude<Level, 2>): void {
    const see = (root: Root): void => {
      if (this.#kept.has(root.node)) return;
      if (this.#parts.get(root.node)!.level > level) parts(root).forEach(see);
      else if (children(root.node).length > 0 || root.node.op === "attribute") {
        this.emit(root);
        const local =
          this.#kept.get(root.node) ?? this.#fn.local(wasmType[root.type === "word" ? "i32" : "f32"]);
        this.#fn.set(local);
        this.#kept.set(root.node, local);
      }
    };
    this.#roots.forEach(see);
  }

  /** Leaves the value of a root on the stack. */
  emit(root: Root): void {
    const kept = this.#kept.get(root.node);
    if (kept !== undefined) {
      this.#fn.get(kept);
      return;
    }
    if (root.type === "word") this.#word(root.node);
    else this.#number(root.node);
    if (this.#parts.get(root.node)!.uses < 2 || children(root.node).length === 0) return;
    const local = this.#fn.local(wasmType[root.type === "word" ? "i32" : "f32"]);
    this.#fn.tee(local);
    this.#kept.set(root.node, local);
  }

  #count(root: Root): Level {
    const known = this.#parts.get(root.node);
    if (known) {
      known.uses++;
      return known.level;
    }
    let level = ownLevel(root.node);
    for (const part of parts(root)) level = Math.max(level, this.#count(part)) as Level;
    this.#parts.set(root.node, { level, uses: 1 });
    return level;
  }

  #emitWord(node: IntegerNode | BooleanNode): FunctionWriter {
    this.emit({ type: "word", node });
    return this.#fn;
  }
  #emitNumber(node: NumberNode): FunctionWriter {
    this.emit({ type: "number", node });
    return this.#fn;
  }

  #word(node: IntegerNode | BooleanNode): void {
    const fn = this.#fn;
    const { variables, row } = this.#inputs;
    switch (node.op) {
      case "constant":
        fn.i32(node.value);
        return;
      case "variable":
        fn.get(variables[node.name]);
        return;
      case "attribute":
        fn.get(this.#inputs.attribute(node.of, node.name)).get(node.of === "query" ? row : variables.key);
        fn.i32(2).emit(op.i32Shl, op.i32Add).memory(op.i32Load, 2);
        return;
      case "minimum":
      case "maximum": {
        const [a, b] = [fn.local(wasmType.i32), fn.local(wasmType.i32)];
        this.#emitWord(node.left).tee(a);
        this.#emitWord(node.right).tee(b);
        const [x, y] = node.op === "minimum" ? [a, b] : [b, a];
        fn.get(x).get(y).emit(op.i32LtS, op.select);
        return;
      }
      case "divide":
      case "modulo":
        this.#emitWord(node.left);
        this.#divide(node.op, node.divisor);
        return;
      case "literal":
        fn.i32(node.value ? 1 : 0);
        return;
      case "and":
      case "or": {
        const [first, ...others] = node.operands;
        if (!first) fn.i32(node.op === "and" ? 1 : 0);
        else this.#emitWord(first);
        for (const other of others) this.#emitWord(other).emit(node.op === "and" ? op.i32And : op.i32Or);
        return;
      }
      case "not":
        this.#emitWord(node.operand).emit(op.i32Eqz);
        return;
      case "table":
        this.#table(node.table, node);
        return;
      default:
        this.#emitWord(node.left);
        this.#emitWord(node.right).emit(binaryOps[node.op]);
    }
  }

  /** Floor division or modulo of what is on the stack: WebAssembly truncates. */
  #divide(kind: "divide" | "modulo", divisor: number): void {
    const fn = this.#fn;
    const power = 31 - Math.clz32(divisor);
    if (divisor === 2 ** power) {
      // An arithmetic shift and a mask of the low bits floor already.
      if (kind === "divide") fn.i32(power).emit(op.i32ShrS);
      else fn.i32(divisor - 1).emit(op.i32And);
      return;
    }
    const [dividend, rest] = [fn.local(wasmType.i32), fn.local(wasmType.i32)];
    fn.tee(dividend).i32(divisor);
    if (kind === "divide") {
      fn.emit(op.i32DivS).get(dividend).i32(divisor).emit(op.i32RemS).i32(31).emit(op.i32ShrS, op.i32Add);
      return;
    }
    fn.emit(op.i32RemS).tee(rest).get(rest).i32(31).emit(op.i32ShrS).i32(divisor).emit(op.i32And, op.i32Add);
  }

  #table(
    table: BooleanTable,
    node: { readonly head: IntegerNode; readonly row: IntegerNode; readonly column: IntegerNode },
  ): void {
    const fn = this.#fn;
    const [inside, index, value] = [fn.local(wasmType.i32), fn.local(wasmType.i32), fn.local(wasmType.i32)];
    fn.i32(1).set(inside).i32(0).set(index);
    const along = (part: IntegerNode, size: number) => {
      this.#emitWord(part).tee(value);
      // Compared as unsigned, a negative index is too large.
      fn.i32(size).emit(op.i32LtU).get(inside).emit(op.i32And).set(inside);
      fn.get(index).i32(size).emit(op.i32Mul).get(value).emit(op.i32Add).set(index);
    };
    if (table.heads > 1) along(node.head, table.heads);
    along(node.row, table.rows);
    along(node.column, table.columns);
    const offset = this.#layout.tableOffsets[this.#layout.tables.indexOf(table)]!;
    fn.get(this.#inputs.tables).get(index).i32(0).get(inside).emit(op.select, op.i32Add);
    fn.memory(op.i32Load8U, 0, offset).get(inside).emit(op.i32And);
  }

  #number(node: NumberNode): void {
    const fn = this.#fn;
    switch (node.op) {
      case "score":
        fn.get(this.#inputs.score);
        return;
      case "number":
        fn.f32(node.value);
        return;
      case "fromInteger":
        this.#emitWord(node.operand).emit(op.f32ConvertI32S);
        return;
      case "negate":
        this.#emitNumber(node.operand).emit(op.f32Neg);
        return;
      case "tanh":
      case "exp":
        this.#emitNumber(node.operand).call(this.#inputs.functions[node.op]);
        return;
      case "select":
        this.#emitNumber(node.whenTrue);
        this.#emitNumber(node.whenFalse);
        this.#emitWord(node.condition).emit(op.select);
        return;
      case "lookup": {
        const index = fn.local(wasmType.i32);
        const { row, length } = this.#inputs.lookup(node.table);
        this.#emitWord(node.index).set(index);
        // Reads entry 0 in place of one outside; the caller's rows have at least one entry.
        fn.get(row).get(index).i32(0).get(index).get(length).emit(op.i32LtU, op.select);
        fn.i32(2).emit(op.i32Shl, op.i32Add).memory(op.f32Load, 2).f32(0);
        fn.get(index).get(length).emit(op.i32LtU, op.select);
        return;
      }
      default:
        this.#emitNumber(node.left);
        this.#emitNumber(node.right).emit(numberOps[node.op]);
    }
  }
}

/** How often a leaf changes; parts add theirs. A lookup's row changes with the query. */
function ownLevel(node: ExpressionNode): Level {
  switch (node.op) {
    case "variable":
      return node.name === "key" ? 2 : node.name === "query" ? 1 : 0;
    case "attribute":
      return node.of === "key" ? 2 : 1;
    case "score":
      return 2;
    case "lookup":
      return 1;
    default:
      return 0;
  }
}
