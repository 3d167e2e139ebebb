/** Expressions as JSON: canonical, so that equal trees give equal text, and checked on the way in. */
import { HeddleError, reject } from "@heddle/core";
import { tableFromJSON, tableToJSON } from "./table.ts";
import type { BooleanNode, BooleanTable, ExpressionNode, IntegerNode, NumberNode } from "./tree.ts";
import { checkExpression, greatestDepth, greatestNodes } from "./validate.ts";
import type { ExpressionBounds } from "./validate.ts";

/** A JSON value. */
export type JSONValue =
  null | boolean | number | string | readonly JSONValue[] | { readonly [name: string]: JSONValue };

/** An expression as JSON; its fields are those of the tree, and a table's bits are base64. */
export function expressionToJSON(node: ExpressionNode): { readonly [name: string]: JSONValue } {
  switch (node.op) {
    case "constant":
    case "number":
      // JSON has no negative zero: it would come back as another tree.
      return { op: node.op, value: Object.is(node.value, -0) ? "-0" : node.value };
    case "literal":
      return { op: node.op, value: node.value };
    case "variable":
      return { op: node.op, name: node.name };
    case "attribute":
      return { op: node.op, of: node.of, name: node.name };
    case "score":
      return { op: node.op };
    case "and":
    case "or":
      return { op: node.op, operands: node.operands.map(expressionToJSON) };
    case "not":
    case "fromInteger":
    case "negate":
    case "tanh":
    case "exp":
      return { op: node.op, operand: expressionToJSON(node.operand) };
    case "table": {
      const { table, head, row, column } = node;
      const at = {
        head: expressionToJSON(head),
        row: expressionToJSON(row),
        column: expressionToJSON(column),
      };
      return { op: node.op, table: { ...tableToJSON(table) }, ...at };
    }
    case "select": {
      const [whenTrue, whenFalse] = [expressionToJSON(node.whenTrue), expressionToJSON(node.whenFalse)];
      return { op: node.op, condition: expressionToJSON(node.condition), whenTrue, whenFalse };
    }
    case "lookup":
      return { op: node.op, table: node.table, index: expressionToJSON(node.index) };
    case "modulo":
      return { op: node.op, left: expressionToJSON(node.left), divisor: node.divisor };
    default:
      if ("divisor" in node) return { op: node.op, left: expressionToJSON(node.left), divisor: node.divisor };
      return { op: node.op, left: expressionToJSON(node.left), right: expressionToJSON(node.right) };
  }
}

const keys = new WeakMap<ExpressionNode, string>();

/** A text that two expressions share exactly when their trees are equal; made once an expression object. */
export function cacheKey(node: ExpressionNode): string {
  let key = keys.get(node);
  if (key === undefined) keys.set(node, (key = JSON.stringify(expressionToJSON(node))));
  return key;
}

/** What reading keeps track of: how many nodes it made. */
interface Reader {
  nodes: number;
}

type Fields = Readonly<Record<string, unknown>>;

/** The fields of an object that has no others. */
function fields(where: string, json: unknown, allowed: readonly string[]): Fields {
  if (typeof json !== "object" || json === null || Array.isArray(json))
    reject(where, "be an object", json, "invalid-data");
  const found = Object.keys(json);
  const extra = found.find((name) => !allowed.includes(name));
  if (extra !== undefined)
    reject(where, `have the fields ${allowed.join(", ")} and no others`, extra, "invalid-data");
  const missing = allowed.find((name) => !found.includes(name));
  if (missing !== undefined) reject(where, `have a field ${missing}`, json, "invalid-data");
  return json as Fields;
}

function opOf<Op extends string>(where: string, json: unknown, ops: Readonly<Record<Op, unknown>>): Op {
  const object = typeof json === "object" && json !== null && !Array.isArray(json);
  const op: unknown = object && Object.hasOwn(json, "op") ? (json as Fields)["op"] : undefined;
  if (typeof op !== "string" || !Object.hasOwn(ops, op))
    reject(`${where}.op`, `be one of ${Object.keys(ops).join(", ")}`, object ? op : json, "invalid-data");
  return op as Op;
}

type Reading<Node> = (where: string, json: unknown, reader: Reader, depth: number) => Node;

function enter(where: string, reader: Reader, depth: number): void {
  if (depth > greatestDepth)
    reject(where.slice(0, 40), `be nested at most ${greatestDepth} deep`, depth, "invalid-data");
  if (++reader.nodes > greatestNodes)
    reject(where, `come among at most ${greatestNodes} nodes`, reader.nodes, "invalid-data");
}

function list<Node>(read: Reading<Node>): Reading<readonly Node[]> {
  return (where, json, reader, depth) => {
    if (!Array.isArray(json)) reject(where, "be a list", json, "invalid-data");
    return json.map((item, at) => read(`${where}[${at}]`, item, reader, depth));
  };
}

const plainInteger: Reading<number> = (where, json) => {
  if (!Number.isInteger(json)) reject(where, "be an integer", json, "invalid-data");
  return (json as number) + 0;
};
const plainNumber: Reading<number> = (where, json) => {
  if (json === "-0") return -0;
  if (typeof json !== "number") reject(where, "be a number", json, "invalid-data");
  return json;
};
const plainBoolean: Reading<boolean> = (where, json) => {
  if (typeof json !== "boolean") reject(where, "be true or false", json, "invalid-data");
  return json;
};
const plainName: Reading<string> = (where, json) => {
  if (typeof json !== "string") reject(where, "be a text", json, "invalid-data");
  return json;
};
function oneOf<const T extends string>(...allowed: readonly T[]): Reading<T> {
  return (where, json) => {
    if (!allowed.includes(json as T)) reject(where, `be one of ${allowed.join(", ")}`, json, "invalid-data");
    return json as T;
  };
}
const plainTable: Reading<BooleanTable> = (where, json) => {
  const { heads, rows, columns, bits } = fields(where, json, ["heads", "rows", "columns", "bits"]);
  return asData(() => tableFromJSON(where, { heads, rows, columns, bits }));
};

/** The fields of each kind of node besides `op`, and how each is read. */
type Rules<Op extends string> = Readonly<Record<Op, Readonly<Record<string, Reading<unknown>>>>>;

function reading<Node extends { readonly op: string }>(rules: () => Rules<Node["op"]>): Reading<Node> {
  return (where, json, reader, depth) => {
    enter(where, reader, depth);
    const all: Rules<Node["op"]> = rules();
    const op = opOf(where, json, all);
    const rule = all[op];
    const found = fields(where, json, ["op", ...Object.keys(rule)]);
    const parts = Object.entries(rule).map(([name, read]): [string, unknown] => [
      name,
      read(`${where}.${name}`, found[name], reader, depth + 1),
    ]);
    const node: { op: string } = { op, ...Object.fromEntries(parts) };
    return node as Node;
  };
}

const readInteger: Reading<IntegerNode> = reading(() => integerRules);
const readBoolean: Reading<BooleanNode> = reading(() => booleanRules);
const readNumber: Reading<NumberNode> = reading(() => numberRules);

const twoIntegers = { left: readInteger, right: readInteger };
const divided = { left: readInteger, divisor: plainInteger };
const integerRules: Rules<IntegerNode["op"]> = {
  constant: { value: plainInteger },
  variable: { name: oneOf("query", "key", "head", "queryLength", "keyLength") },
  attribute: { of: oneOf("query", "key"), name: plainName },
  add: twoIntegers,
  subtract: twoIntegers,
  multiply: twoIntegers,
  minimum: twoIntegers,
  maximum: twoIntegers,
  divide: divided,
  modulo: divided,
};
const booleanRules: Rules<BooleanNode["op"]> = {
  literal: { value: plainBoolean },
  equal: twoIntegers,
  less: twoIntegers,
  lessOrEqual: twoIntegers,
  and: { operands: list(readBoolean) },
  or: { operands: list(readBoolean) },
  not: { operand: readBoolean },
  table: { table: plainTable, head: readInteger, row: readInteger, column: readInteger },
};
const twoNumbers = { left: readNumber, right: readNumber };
const numberRules: Rules<NumberNode["op"]> = {
  score: {},
  number: { value: plainNumber },
  fromInteger: { operand: readInteger },
  add: twoNumbers,
  subtract: twoNumbers,
  multiply: twoNumbers,
  divide: twoNumbers,
  negate: { operand: readNumber },
  tanh: { operand: readNumber },
  exp: { operand: readNumber },
  select: { condition: readBoolean, whenTrue: readNumber, whenFalse: readNumber },
  lookup: { table: plainName, index: readInteger },
};

/** Runs a check whose failure means that the data is bad, not the call. */
function asData<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof HeddleError) throw new HeddleError("invalid-data", error.message, { cause: error });
    throw error;
  }
}

function readTree<Node extends ExpressionNode>(
  read: Reading<Node>,
  json: unknown,
  where: string,
  bounds: ExpressionBounds,
): Node {
  const node = read(where, json, { nodes: 0 }, 1);
  asData(() => checkExpression(where, node, bounds));
  return node;
}

/** A boolean expression from JSON. Throws HeddleError `invalid-data` naming the path of what is wrong. */
export function booleanFromJSON(
  json: unknown,
  where = "expression",
  bounds: ExpressionBounds = {},
): BooleanNode {
  return readTree(readBoolean, json, where, bounds);
}

/** A number expression (a score modifier) from JSON. Throws HeddleError `invalid-data` naming the path. */
export function numberFromJSON(
  json: unknown,
  where = "expression",
  bounds: ExpressionBounds = {},
): NumberNode {
  return readTree(readNumber, json, where, bounds);
}
