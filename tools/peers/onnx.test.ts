import { describe, expect, it } from "vitest";
import { writeModel } from "./onnx.ts";

/** A message as its fields in order: varints as bigint, the rest as bytes. */
function read(bytes: Uint8Array): (readonly [field: number, value: bigint | Uint8Array])[] {
  let at = 0;
  const varint = (): bigint => {
    for (let [value, shift] = [0n, 0n]; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const fields: (readonly [number, bigint | Uint8Array])[] = [];
  while (at < bytes.length) {
    const tag = Number(varint());
    if (tag % 8 === 0) {
      fields.push([tag >> 3, varint()]);
      continue;
    }
    expect([2, 5]).toContain(tag % 8);
    const length = tag % 8 === 5 ? 4 : Number(varint());
    fields.push([tag >> 3, bytes.slice(at, at + length)]);
    at += length;
  }
  return fields;
}

/** All values of a field: messages read, at the end of a path of fields. */
function all(bytes: Uint8Array, ...path: readonly number[]): (bigint | Uint8Array)[] {
  const [field, ...rest] = path;
  const found = read(bytes).flatMap(([number, value]) => (number === field ? [value] : []));
  if (rest.length === 0) return found;
  return found.flatMap((value) => (value instanceof Uint8Array ? all(value, ...rest) : []));
}

const text = (values: readonly (bigint | Uint8Array)[]): string[] =>
  values.map((value) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value)));

describe("writeModel", () => {
  const weight = Float32Array.from({ length: 200 }, (_, i) => i / 2);
  const model = writeModel({
    opset: 17,
    inputs: [
      { name: "x", shape: [3, 10] },
      { name: "ids", shape: [7], type: "int32" },
    ],
    outputs: [{ name: "y", shape: [3, 20] }],
    constants: [
      { name: "w", shape: [10, 20], values: weight },
      { name: "sizes", shape: [2], values: BigInt64Array.of(-1n, 300n) },
    ],
    nodes: [
      { operator: "MatMul", inputs: ["x", "w"], output: "p" },
      { operator: "Softmax", inputs: ["p"], output: "s", attributes: { axis: -1 } },
      {
        operator: "Gelu",
        inputs: ["s", ""],
        output: ["y", "", "z"],
        domain: "com.microsoft",
        attributes: { perm: [0, 300], epsilon: { float: 0.375 } },
      },
    ],
  });
  // Fields by number, from onnx.proto: ModelProto.graph 7, GraphProto.node 1, initializer 5, input 11, output 12.
  it("writes nodes with their attributes", () => {
    expect(text(all(model, 7, 1, 4))).toEqual(["MatMul", "Softmax", "Gelu"]);
    expect(text(all(model, 7, 1, 1))).toEqual(["x", "w", "p", "s", ""]);
    expect(text(all(model, 7, 1, 2))).toEqual(["p", "s", "y", "", "z"]);
    expect(text(all(model, 7, 1, 5, 1))).toEqual(["axis", "perm", "epsilon"]);
    expect(all(model, 7, 1, 5, 3)).toEqual([2n ** 64n - 1n]);
    expect(all(model, 7, 1, 5, 8)).toEqual([0n, 300n]);
    expect(all(model, 7, 1, 5, 20)).toEqual([2n, 7n, 1n]);
    const [float] = all(model, 7, 1, 5, 2) as [Uint8Array<ArrayBuffer>];
    expect(new Float32Array(float.buffer)).toEqual(Float32Array.of(0.375));
  });

  it("writes constants in little endian", () => {
    expect(all(model, 7, 5, 1)).toEqual([10n, 20n, 2n]);
    expect(all(model, 7, 5, 2)).toEqual([1n, 7n]);
    const [raw, sizes] = all(model, 7, 5, 9) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
    expect(new Float32Array(raw.buffer)).toEqual(weight);
    expect(new BigInt64Array(sizes.buffer)).toEqual(BigInt64Array.of(-1n, 300n));
  });

  it("writes the shapes of what goes in and out", () => {
    expect(text(all(model, 7, 11, 1))).toEqual(["x", "ids"]);
    expect(all(model, 7, 11, 2, 1, 2, 1, 1)).toEqual([3n, 10n, 7n]);
    expect(all(model, 7, 11, 2, 1, 1)).toEqual([1n, 6n]);
    expect(all(model, 7, 12, 2, 1, 2, 1, 1)).toEqual([3n, 20n]);
    expect(all(model, 7, 12, 2, 1, 1)).toEqual([1n]);
  });

  it("names every set of operators once", () => {
    expect(text(all(model, 8, 1))).toEqual(["", "com.microsoft"]);
    expect(all(model, 8, 2)).toEqual([17n, 1n]);
  });
});
