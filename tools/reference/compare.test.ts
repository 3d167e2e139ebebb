import { describe, expect, it } from "vitest";
import { compareGoldens } from "./compare.ts";
import { readGolden, type GoldenFile, type StoredTensor } from "./safetensors.ts";

function file(header: object, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

function golden(tensors: Record<string, StoredTensor>, document: unknown = {}): GoldenFile {
  return { tensors: new Map(Object.entries(tensors)), document };
}

const f32 = (...values: number[]): StoredTensor => ({
  dtype: "F32",
  shape: [values.length],
  values: Float32Array.from(values),
});
const i32 = (...values: number[]): StoredTensor => ({
  dtype: "I32",
  shape: [values.length],
  values: Int32Array.from(values),
});

describe("readGolden", () => {
  it("reads values behind a header of any length", () => {
    const data = new Uint8Array(new Float32Array([1.5, -2]).buffer);
    const entry = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
    for (const name of ["a", "ab", "abc", "abcd"]) {
      const read = readGolden(file({ __metadata__: { heddle: '{"seed":1}' }, [name]: entry }, data));
      expect(read.document).toEqual({ seed: 1 });
      expect(read.tensors.get(name)?.values).toEqual(Float32Array.of(1.5, -2));
    }
  });
  it("rejects a file that is no golden", () => {
    expect(() => readGolden(file({}, new Uint8Array()))).toThrow('the metadata must have the key "heddle"');
    const entry = { dtype: "F64", shape: [1], data_offsets: [0, 8] };
    expect(() => readGolden(file({ x: entry }, new Uint8Array(8)))).toThrow(
      "dtype of x must be one of F32, I32, I64, BOOL, got F64",
    );
  });
});

describe("compareGoldens", () => {
  it("accepts rounding, relative to the largest entry", () => {
    const { problems, largest } = compareGoldens(golden({ x: f32(100, 1) }), golden({ x: f32(100, 1.0004) }));
    expect(problems).toEqual([]);
    expect(largest).toBeCloseTo(4e-6, 7);
  });
  it("names what differs by more", () => {
    const { problems } = compareGoldens(golden({ x: f32(0.5, 1) }), golden({ x: f32(0.5, 1.0004) }));
    expect(problems).toEqual(["x differs by 4.0e-4 of its largest entry"]);
  });
  it("refuses NaN, and any difference of integers", () => {
    expect(compareGoldens(golden({ x: f32(1) }), golden({ x: f32(NaN) })).problems).toHaveLength(1);
    const large = golden({ x: i32(1_000_000, 3) });
    expect(compareGoldens(large, large).problems).toEqual([]);
    expect(compareGoldens(large, golden({ x: i32(1_000_000, 4) })).problems).toHaveLength(1);
  });
  it("names missing tensors, other shapes and other metadata", () => {
    const { problems } = compareGoldens(
      golden({ x: f32(1, 2), y: f32(1) }, { config: { n_layer: 2 } }),
      golden({ x: f32(1), z: f32(1) }, { config: { n_layer: 3 } }),
    );
    expect(problems).toEqual([
      "the metadata differs",
      "x is F32 [2], made again F32 [1]",
      "y is only in the committed file",
      "z is only in the new file",
    ]);
  });
});
