/**
 * Expressions as WGSL functions. The shader that takes them in gives the readers that they call, where they call
 * any:
 * - `fn readAttribute(slot: u32, position: i32) -> i32`: entry `slot` of `layout.attributes`, for the batch row at
 *   hand; `position` is the row of a query and the position of a key.
 * - `fn readTable(entry: i32) -> bool`: an entry of all tables one after the other; `tableWords` packs them for it.
 * - `fn readLookup(slot: u32, row: i32, index: i32) -> f32`: entry `slot` of `layout.lookups`, for the batch row and
 *   head at hand; 0 where `index` is outside the tensor's last size.
 */
import { lookupDerivatives, scoreDerivative } from "./derivative.ts";
import { emitLayout, tableBytes } from "./emit-layout.ts";
import type { EmitLayout } from "./emit-layout.ts";
import { packBits } from "./table.ts";
import type { BooleanNode, IntegerNode, NumberNode } from "./tree.ts";

/** WGSL code and what it reads. */
export interface EmittedWgsl {
  readonly code: string;
  readonly layout: EmitLayout;
}

/** The parameters that every emitted function takes last; `row` is the query's row in the call. */
const parameters = "query: i32, key: i32, row: i32, head: i32, queryLength: i32, keyLength: i32";

/** `fn allows(query, key, row, head, queryLength, keyLength) -> bool` (all i32). */
export function emitMaskWgsl(node: BooleanNode): EmittedWgsl {
  const layout = emitLayout([node]);
  const writer = new WgslWriter(layout);
  return { code: writer.function("allows", parameters, "bool", writer.word(node)), layout };
}

/**
 * A score modifier:
 * - `fn modify(score: f32, …as allows) -> f32`
 * - `fn modifyScoreDerivative(…) -> f32`
 * - for each lookup n of `lookupDerivatives`, in order: `fn modifyLookupIndex<n>(…) -> i32`, the entry that it reads,
 *   and `fn modifyLookupDerivative<n>(…) -> f32`.
 */
export function emitModifierWgsl(node: NumberNode): EmittedWgsl {
  const layout = emitLayout([node]);
  const all = `score: f32, ${parameters}`;
  const emit = (name: string, type: "f32" | "i32", value: (writer: WgslWriter) => string) => {
    const writer = new WgslWriter(layout);
    return writer.function(name, all, type, value(writer));
  };
  const functions = [
    emit("modify", "f32", (writer) => writer.number(node)),
    emit("modifyScoreDerivative", "f32", (writer) => writer.number(scoreDerivative(node))),
    ...lookupDerivatives(node).flatMap(({ lookup, derivative }, at) => [
      emit(`modifyLookupIndex${at}`, "i32", (writer) => writer.word(lookup.index)),
      emit(`modifyLookupDerivative${at}`, "f32", (writer) => writer.number(derivative)),
    ]),
  ];
  return { code: functions.join("\n"), layout };
}

/** All tables packed to bits, 32 a word, lowest first; at least one word. */
export function tableWords(layout: EmitLayout): Uint32Array<ArrayBuffer> {
  const packed = packBits(tableBytes(layout), 4);
  return packed.length === 0 ? new Uint32Array(1) : new Uint32Array(packed.buffer);
}

const operators = {
  add: "+",
  subtract: "-",
  multiply: "*",
  divide: "/",
  equal: "==",
  less: "<",
  lessOrEqual: "<=",
  and: "&&",
  or: "||",
} as const;

/** Writes one `let` a node, so that nothing is nested deeply and what is shared is computed once. */
class WgslWriter {
  readonly #layout: EmitLayout;
  readonly #lines: string[] = [];
  readonly #names = new Map<IntegerNode | BooleanNode | NumberNode, string>();

  constructor(layout: EmitLayout) {
    this.#layout = layout;
  }

  function(name: string, parameterList: string, type: string, value: string): string {
    return [`fn ${name}(${parameterList}) -> ${type} {`, ...this.#lines, `  return ${value};`, "}", ""].join(
      "\n",
    );
  }

  #let(expression: string): string {
    const name = `v${this.#lines.length}`;
    this.#lines.push(`  let ${name} = ${expression};`);
    return name;
  }

  #once(node: IntegerNode | BooleanNode | NumberNode, write: () => string): string {
    let name = this.#names.get(node);
    if (name === undefined) this.#names.set(node, (name = write()));
    return name;
  }

  /** The name of an integer's or a boolean's value. */
  word(node: IntegerNode | BooleanNode): string {
    return this.#once(node, () => this.#word(node));
  }

  /** The name of a number's value. */
  number(node: NumberNode): string {
    return this.#once(node, () => this.#number(node));
  }

  #word(node: IntegerNode | BooleanNode): string {
    switch (node.op) {
      case "constant":
        return integer(node.value);
      case "variable":
        return node.name;
      case "literal":
        return String(node.value);
      case "attribute": {
        const slot = this.#layout.attributes.findIndex(
          ({ of, name }) => of === node.of && name === node.name,
        );
        return this.#let(`readAttribute(${slot}u, ${node.of === "query" ? "row" : "key"})`);
      }
      case "minimum":
      case "maximum":
        return this.#let(`${node.op.slice(0, 3)}(${this.word(node.left)}, ${this.word(node.right)})`);
      case "divide":
      case "modulo":
        return this.#divide(node.op, this.word(node.left), node.divisor);
      case "and":
      case "or": {
        const empty = String(node.op === "and");
        const names = node.operands.map((operand) => this.word(operand));
        return names.length === 0
          ? empty
          : names.reduce((a, b) => this.#let(`${a} ${operators[node.op]} ${b}`));
      }
      case "not":
        return this.#let(`!${this.word(node.operand)}`);
      case "table":
        return this.#table(node);
      default:
        return this.#let(`${this.word(node.left)} ${operators[node.op]} ${this.word(node.right)}`);
    }
  }

  /** Floor division or modulo: WGSL truncates. */
  #divide(kind: "divide" | "modulo", dividend: string, divisor: number): string {
    const power = 31 - Math.clz32(divisor);
    // Named first: a shift or division of literals alone would be folded by the compiler's stricter rules.
    const value = this.#let(dividend);
    if (divisor === 2 ** power)
      return this.#let(kind === "divide" ? `${value} >> ${power}u` : `${value} & ${integer(divisor - 1)}`);
    const rest = this.#let(`${value} % ${integer(divisor)}`);
    if (kind === "divide") return this.#let(`${value} / ${integer(divisor)} + (${rest} >> 31u)`);
    return this.#let(`${rest} + ((${rest} >> 31u) & ${integer(divisor)})`);
  }

  #table(node: Extract<BooleanNode, { readonly op: "table" }>): string {
    const { heads, rows, columns } = node.table;
    const offset = this.#layout.tableOffsets[this.#layout.tables.indexOf(node.table)]!;
    const along: [string, number][] = [
      [this.word(node.row), rows],
      [this.word(node.column), columns],
    ];
    if (heads > 1) along.unshift([this.word(node.head), heads]);
    const inside = this.#let(
      along.map(([name, size]) => `(${name} >= 0i && ${name} < ${integer(size)})`).join(" && "),
    );
    const index = along
      .slice(1)
      .reduce((sum, [name, size]) => `(${sum}) * ${integer(size)} + ${name}`, along[0]![0]);
    const entry = this.#let(`select(0i, ${index}, ${inside}) + ${integer(offset)}`);
    return this.#let(`${inside} && readTable(${entry})`);
  }

  #number(node: NumberNode): string {
    switch (node.op) {
      case "score":
        return "score";
      case "number":
        return this.#let(float(node.value));
      case "fromInteger":
        return this.#let(`f32(${this.word(node.operand)})`);
      case "negate":
        return this.#let(`-${this.number(node.operand)}`);
      case "tanh":
        // Some drivers overflow on large arguments; beyond 15 it is 1 in float32.
        return this.#let(`tanh(clamp(${this.number(node.operand)}, -15f, 15f))`);
      case "exp":
        return this.#let(`exp(${this.number(node.operand)})`);
      case "select": {
        const [a, b] = [this.number(node.whenTrue), this.number(node.whenFalse)];
        return this.#let(`select(${b}, ${a}, ${this.word(node.condition)})`);
      }
      case "lookup": {
        const slot = this.#layout.lookups.indexOf(node.table);
        return this.#let(`readLookup(${slot}u, row, ${this.word(node.index)})`);
      }
      default:
        return this.#let(`${this.number(node.left)} ${operators[node.op]} ${this.number(node.right)}`);
    }
  }
}

function integer(value: number): string {
  if (value === -(2 ** 31)) return "i32(-2147483648)";
  return value < 0 ? `(${value}i)` : `${value}i`;
}

function float(value: number): string {
  return value < 0 || Object.is(value, -0) ? `(-${-value}f)` : `${value}f`;
}
