/**
 * Writes ONNX models, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, in as much of protobuf's wire format as
 * they need. (The packages that write them are unmaintained, or bring all of protobufjs.)
 */

/** A tensor of the graph's own, its values in row-major order: float32, or int64 as shapes are. */
export interface Constant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>;
}

/** A tensor that goes into the graph or comes out of it. */
export interface Port {
  readonly name: string;
  readonly shape: readonly number[];
  /** @default "float32" */
  readonly type?: "float32" | "int32";
}

/** An operator's setting: whole numbers, or one that has a fraction. */
export type Attribute = number | readonly number[] | { readonly float: number };

/** An operator's call. */
export interface Node {
  readonly operator: string;
  /** Names of tensors, "" for an optional one that is left out. */
  readonly inputs: readonly string[];
  /** One name, or one for each output, "" for one that is left out. */
  readonly output: string | readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Set of operators. @default "", ONNX's own */
  readonly domain?: string;
}

/** A model of one graph. */
export interface Graph {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly constants: readonly Constant[];
  readonly nodes: readonly Node[];
  /** Version of ONNX's own operators. */
  readonly opset: number;
}

/** Bytes in pieces, so that nested messages copy large tensors once. */
type Pieces = readonly Uint8Array[];

const VARINT = 0;
const LENGTH = 2;
const FIXED32 = 5;
/** Types of tensors. */
const types = { float32: 1, int32: 6, int64: 7 } as const;
/** Types of attributes. */
const FLOAT = 1;
const INT = 2;
const INTS = 7;
const utf8 = new TextEncoder();

/** Base 128, the lowest 7 bits first. Negative numbers are ten bytes, as int64. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.of(...bytes, Number(rest));
}

const sizeOf = (pieces: Pieces): number => pieces.reduce((sum, { length }) => sum + length, 0);
const tag = (field: number, wire: number): Uint8Array => varint(field * 8 + wire);
const integer = (field: number, value: number): Pieces => [tag(field, VARINT), varint(value)];
const message = (field: number, ...parts: readonly Pieces[]): Pieces => {
  const body = parts.flat();
  return [tag(field, LENGTH), varint(sizeOf(body)), ...body];
};
const bytes = (field: number, value: Uint8Array): Pieces => message(field, [value]);
const text = (field: number, value: string): Pieces => bytes(field, utf8.encode(value));

function tensor({ name, shape, values }: Constant): Pieces[] {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const type = values instanceof Float32Array ? types.float32 : types.int64;
  return [...shape.map((size) => integer(1, size)), integer(2, type), text(8, name), bytes(9, raw)];
}

function port({ name, shape, type = "float32" }: Port): Pieces[] {
  const sizes = message(2, ...shape.map((size) => message(1, integer(1, size))));
  return [text(1, name), message(2, message(1, integer(1, types[type]), sizes))];
}

function attribute(name: string, value: Attribute): Pieces[] {
  if (typeof value === "number") return [text(1, name), integer(3, value), integer(20, INT)];
  if ("float" in value) {
    const single = new Uint8Array(Float32Array.of(value.float).buffer);
    return [text(1, name), [tag(2, FIXED32), single], integer(20, FLOAT)];
  }
  return [text(1, name), ...value.map((one) => integer(8, one)), integer(20, INTS)];
}

function node({ operator, inputs, output, attributes = {}, domain = "" }: Node): Pieces[] {
  return [
    ...inputs.map((input) => text(1, input)),
    ...[output].flat().map((one) => text(2, one)),
    text(4, operator),
    ...Object.entries(attributes).map(([name, value]) => message(5, ...attribute(name, value))),
    text(7, domain),
  ];
}

/** The bytes of an .onnx file. */
export function writeModel({ inputs, outputs, constants, nodes, opset }: Graph): Uint8Array<ArrayBuffer> {
  const graph = [
    ...nodes.map((one) => message(1, ...node(one))),
    text(2, "graph"),
    ...constants.map((one) => message(5, ...tensor(one))),
    ...inputs.map((one) => message(11, ...port(one))),
    ...outputs.map((one) => message(12, ...port(one))),
  ];
  const domains = new Map([["", opset]]);
  for (const { domain = "" } of nodes) if (!domains.has(domain)) domains.set(domain, 1);
  const pieces = [
    integer(1, 10), // IR version
    message(7, ...graph),
    ...[...domains].map(([domain, version]) => message(8, text(1, domain), integer(2, version))),
  ].flat();
  const model = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    model.set(piece, at);
    at += piece.length;
  }
  return model;
}
