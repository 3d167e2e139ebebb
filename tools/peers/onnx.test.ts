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
    expect(tag % 8).toBe(2);
    const length = Number(varint());
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
    inputs: [{ name: "x", shape: [3, 10] }],
    outputs: [{ name: "y", shape: [3, 20] }],
    constants: [{ name: "w", shape: [10, 20], values: weight }],
    nodes: [
      { operator: "MatMul", inputs: ["x", "w"], output: "p" },
      { operator: "Softmax", inputs: ["p"], output: "s", attributes: { axis: -1 } },
      {
        operator: "Gelu",
        inputs: ["s", ""],
        output: "y",
        domain: "com.microsoft",
        attributes: { perm: [0, 300] },
      },
    ],
  });
  // Fields by number, from onnx.proto: ModelProto.graph 7, GraphProto.node 1, initializer 5, input 11, output 12.
  it("writes nodes with their attributes", () => {
    expect(text(all(model, 7, 1, 4))).toEqual(["MatMul", "Softmax", "Gelu"]);
    expect(text(all(model, 7, 1, 1))).toEqual(["x", "w", "p", "s", ""]);
    expect(text(all(model, 7, 1, 2))).toEqual(["p", "s", "y"]);
    expect(text(all(model, 7, 1, 5, 1))).toEqual(["axis", "perm"]);
    expect(all(model, 7, 1, 5, 3)).toEqual([2n ** 64n - 1n]);
    expect(all(model, 7, 1, 5, 8)).toEqual([0n, 300n]);
    expect(all(model, 7, 1, 5, 20)).toEqual([2n, 7n]);
  });

  it("writes constants in little endian", () => {
    expect(all(model, 7, 5, 1)).toEqual([10n, 20n]);
    expect(all(model, 7, 5, 2)).toEqual([1n]);
    const [raw] = all(model, 7, 5, 9) as [Uint8Array<ArrayBuffer>];
    expect(new Float32Array(raw.buffer)).toEqual(weight);
  });

  it("writes the shapes of what goes in and out", () => {
    expect(text(all(model, 7, 11, 1))).toEqual(["x"]);
    expect(all(model, 7, 11, 2, 1, 2, 1, 1)).toEqual([3n, 10n]);
    expect(all(model, 7, 12, 2, 1, 2, 1, 1)).toEqual([3n, 20n]);
    expect(all(model, 7, 12, 2, 1, 1)).toEqual([1n]);
  });

  it("names every set of operators once", () => {
    expect(text(all(model, 8, 1))).toEqual(["", "com.microsoft"]);
    expect(all(model, 8, 2)).toEqual([17n, 1n]);
  });
});
