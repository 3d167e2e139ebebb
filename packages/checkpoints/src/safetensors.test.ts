import { readFileSync } from "node:fs";
import { HeddleError } from "@heddle/core";
import { describe, expect, it } from "vitest";
import {
  fromBytes,
  openSafetensors,
  toBlob,
  writeSafetensors,
  type ByteSource,
  type TensorEntry,
} from "./index.ts";

const golden = readFileSync(new URL("goldens/dtypes.safetensors", import.meta.url));

async function written(
  tensors: Iterable<TensorEntry>,
  metadata?: Record<string, string>,
): Promise<Uint8Array> {
  let result = new Blob();
  await writeSafetensors(
    toBlob("out", (blob) => (result = blob)),
    tensors,
    metadata,
  );
  return new Uint8Array(await result.arrayBuffer());
}

/** A file with this header text and this many bytes of data. */
function file(header: string | Uint8Array, data = 0, length?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await openSafetensors(fromBytes(bytes, "f")).then(
    () => "opened",
    (caught: unknown) => caught,
  );
  if (!(error instanceof HeddleError)) throw new Error(`expected a HeddleError, got ${String(error)}`);
  return `${error.code}: ${error.message}`;
}

describe("openSafetensors", () => {
  it("reads every dtype of a file that Python's safetensors wrote", async () => {
    const opened = await openSafetensors(fromBytes(golden));
    expect(opened.metadata).toEqual({ format: "pt" });
    expect([...opened.tensors.keys()]).toEqual([
      "i64",
      "empty",
      "f32",
      "scalar",
      "i32",
      "bf16",
      "f16",
      "u8",
      "bool",
    ]);
    expect(opened.tensors.get("scalar")).toEqual({ dtype: "F32", shape: [], byteOffset: 608, byteLength: 4 });
    expect(await opened.read("f32")).toEqual({
      dtype: "F32",
      shape: [2, 3],
      values: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25),
    });
    expect((await opened.read("empty")).values).toEqual(new Float32Array(0));
    expect((await opened.read("scalar")).values).toEqual(Float32Array.of(7.5));
    expect((await opened.read("i64")).values).toEqual(BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n));
    expect((await opened.read("i32")).values).toEqual(Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1));
    expect((await opened.read("u8")).values).toEqual(Uint8Array.of(0, 1, 255));
    expect((await opened.read("bool")).values).toEqual(Uint8Array.of(1, 0, 1));
    expect((await opened.read("f16")).values).toEqual(Uint16Array.of(0x3800, 0xfbff, 1));
    expect(await opened.read("f16", { as: "f32" })).toEqual({
      dtype: "F32",
      shape: [1, 3],
      values: Float32Array.of(0.5, -65504, 2 ** -24),
    });
    expect((await opened.read("bf16", { as: "f32" })).values).toEqual(
      Float32Array.of(1, -2.5, 3.140625, Infinity),
    );
  });

  it("reads only the header and the bytes of the tensor asked for", async () => {
    const ranges: [number, number][] = [];
    const memory = fromBytes(golden);
    const source: ByteSource = {
      ...memory,
      size: golden.length,
      read: (start, end) => {
        ranges.push([start, end]);
        return memory.read(start, end);
      },
    };
    const opened = await openSafetensors(source);
    await opened.read("f32");
    expect(ranges).toEqual([
      [0, 8],
      [8, 568],
      [584, 608],
    ]);
  });

  it("refuses names that are not there, integers as f32, and reads after close", async () => {
    const opened = await openSafetensors(fromBytes(golden, "f"));
    await expect(opened.read("toString")).rejects.toThrow('f: tensor "toString" must be in the file');
    await expect(opened.read("i64", { as: "f32" })).rejects.toThrow(
      'f: tensor "i64" must be F32, F16 or BF16 to be read as f32, got I64',
    );
    await opened.close();
    await expect(opened.read("f32")).rejects.toThrow("f must be open, got a read after close()");
  });

  const u8 = (offsets: string, shape = "[2]", dtype = '"U8"'): string =>
    `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;

  it.each<[string, Uint8Array, string]>([
    [
      "an empty file",
      new Uint8Array(0),
      "invalid-data: f: a safetensors file must have at least 8 bytes, got 0",
    ],
    [
      "a header beyond the file",
      file("{}", 0, 3n),
      "f: the header must end within the file's 10 bytes, got 11",
    ],
    [
      "a huge header",
      file("{}", 0, 2n ** 64n - 1n),
      "the header must have at most 100000000 bytes, got 18446744073709551615n",
    ],
    ["no header", file(""), "f: the header must begin with {, got undefined"],
    ["a space before {", file(" {}"), "f: the header must begin with {, got 32"],
    ["broken JSON", file('{"a"'), "f: the header must be JSON in UTF-8"],
    [
      "broken UTF-8",
      file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)),
      "f: the header must be JSON in UTF-8",
    ],
    [
      "a tensor twice",
      file(`{"a":${u8("[0,2]")},"a":${u8("[0,2]")}}`, 2),
      'must have each key once, got "a" twice',
    ],
    [
      "a tensor twice, escaped",
      file(`{"a":${u8("[0,2]")},"\\u0061":${u8("[0,2]")}}`, 2),
      'key once, got "a" twice',
    ],
    [
      "a dtype twice",
      file(`{"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}`, 2),
      'got "dtype" twice',
    ],
    ["__proto__", file(`{"__proto__":${u8("[0,2]")}}`, 2), 'must not have the key "__proto__"'],
    ["__proto__ inside", file(`{"a":{"__proto__":1}}`), 'must not have the key "__proto__"'],
    [
      "metadata that is no object",
      file('{"__metadata__":[]}'),
      "f: __metadata__ must be an object of strings, got []",
    ],
    [
      "metadata with a number",
      file('{"__metadata__":{"a":1}}'),
      'f: __metadata__: "a" must be a string, got 1',
    ],
    [
      "a tensor that is no object",
      file('{"a":[1]}'),
      'f: tensor "a" must be an object with dtype, shape and data_offsets',
    ],
    [
      "no dtype",
      file(`{"a":{"shape":[2],"data_offsets":[0,2]}}`, 2),
      'tensor "a": dtype must be a string, got undefined',
    ],
    [
      "a dtype that we lack",
      file(`{"a":${u8("[0,2]", "[2]", '"F8_E4M3"')}}`, 2),
      'unsupported: f: tensor "a": dtype must be one of F32',
    ],
    [
      "a negative size",
      file(`{"a":${u8("[0,2]", "[-2]")}}`, 2),
      "shape must be an array of integers >= 0, got [-2]",
    ],
    [
      "half a row",
      file(`{"a":${u8("[0,2]", "[1.5]")}}`, 2),
      "shape must be an array of integers >= 0, got [1.5]",
    ],
    ["a size as text", file(`{"a":${u8("[0,2]", '["2"]')}}`, 2), "shape must be an array of integers >= 0"],
    [
      "a huge size",
      file(`{"a":${u8("[0,2]", "[9007199254740991,9007199254740991]")}}`, 2),
      "shape must stay below 2^53 bytes, got [9007199254740991,9007199254740991]",
    ],
    [
      "three offsets",
      file(`{"a":${u8("[0,2,2]")}}`, 2),
      "data_offsets must be [begin, end] with 0 <= begin <= end",
    ],
    [
      "offsets turned round",
      file(`{"a":${u8("[2,0]")}}`, 2),
      "data_offsets must be [begin, end] with 0 <= begin <= end",
    ],
    [
      "offsets beyond 2^53",
      file(`{"a":${u8("[0,9007199254740993]")}}`, 2),
      "data_offsets must be [begin, end]",
    ],
    [
      "data beyond the file",
      file(`{"a":${u8("[0,4]", "[4]")}}`, 2),
      "data_offsets must end within the 2 bytes of data",
    ],
    [
      "a size that disagrees",
      file(`{"a":${u8("[0,2]", "[3]")}}`, 2),
      "data_offsets must span the 3 bytes of U8 [3], got [0,2]",
    ],
    [
      "overlapping tensors",
      file(`{"a":${u8("[0,2]")},"b":${u8("[1,3]")}}`, 3),
      'tensor "b": data_offsets must begin at 2, where the tensor before it ends, got 1',
    ],
    [
      "a hole",
      file(`{"a":${u8("[0,2]")},"b":${u8("[3,5]")}}`, 5),
      'tensor "b": data_offsets must begin at 2, where the tensor before it ends, got 3',
    ],
    ["a hole at the start", file(`{"a":${u8("[1,3]")}}`, 3), 'tensor "a": data_offsets must begin at 0'],
    [
      "bytes at the end",
      file(`{"a":${u8("[0,2]")}}`, 3),
      "the tensors must cover the 3 bytes of data, got 2",
    ],
  ])("refuses %s", async (_, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });

  it("refuses deep nesting and long keys without a crash", async () => {
    expect(await refusal(file(`{"a":${"[".repeat(200_000)}`))).toContain("must be JSON in UTF-8");
    expect(await refusal(file(`{"a":${"[".repeat(200_000)}${"]".repeat(200_000)}}`))).toContain(
      "invalid-data",
    );
    expect((await refusal(file(`{"${"k".repeat(1_000_000)}":1}`))).length).toBeLessThan(400);
  });

  it("refuses a BOOL that is neither 0 nor 1 when it is read", async () => {
    const bytes = file(`{"a":${u8("[0,2]", "[2]", '"BOOL"')}}`, 2);
    bytes[bytes.length - 1] = 2;
    const opened = await openSafetensors(fromBytes(bytes, "f"));
    await expect(opened.read("a")).rejects.toThrow('f: tensor "a" must hold only 0 and 1, as BOOL, got 2');
  });
});

describe("writeSafetensors", () => {
  it("writes the bytes that Python's safetensors writes", async () => {
    const opened = await openSafetensors(fromBytes(golden));
    const names = ["bf16", "f16", "u8", "bool", "empty", "f32", "scalar", "i64", "i32"];
    const entries = names.map((name): TensorEntry => {
      const { dtype, shape } = opened.tensors.get(name)!;
      return { name, dtype, shape, values: async () => (await opened.read(name)).values };
    });
    // The reference orders by dtype and name; ours only by the size of an element.
    entries.sort((a, b) => Number(b.dtype === "F32") - Number(a.dtype === "F32"));
    expect(await written(entries, { format: "pt" })).toEqual(new Uint8Array(golden));
  });

  it("asks for one tensor's values after the other, and rounds floats to the dtype", async () => {
    const asked: string[] = [];
    const lazy = (name: string): TensorEntry => ({
      name,
      dtype: "F16",
      shape: [2],
      values: async () => {
        asked.push(`${name} begins`);
        await Promise.resolve();
        asked.push(`${name} ends`);
        return Float32Array.of(1, 2049);
      },
    });
    const opened = await openSafetensors(fromBytes(await written([lazy("1"), lazy("0")])));
    expect(asked).toEqual(["1 begins", "1 ends", "0 begins", "0 ends"]);
    expect((await opened.read("0", { as: "f32" })).values).toEqual(Float32Array.of(1, 2048));
  });

  const f32: TensorEntry = { name: "a", dtype: "F32", shape: [2], values: Float32Array.of(1, 2) };
  it.each<[string, TensorEntry[], string]>([
    ["a name twice", [f32, f32], 'out: tensor names must differ from each other, got "a"'],
    [
      "a reserved name",
      [{ ...f32, name: "__metadata__" }],
      "name must be a string other than __metadata__ and __proto__",
    ],
    ["a negative size", [{ ...f32, shape: [-1] }], 'out: tensor "a": shape must be an integer >= 0, got -1'],
    ["a wrong length", [{ ...f32, shape: [3] }], 'tensor "a": values must have length 3 for [3], got 2'],
    [
      "the wrong array",
      [{ ...f32, dtype: "I32" }],
      'values of I32 must be of type Int32Array, got "Float32Array"',
    ],
    [
      "a float too large",
      [{ ...f32, dtype: "F16", values: Float32Array.of(1, 1e6) }],
      'tensor "a" must fit F16, got 1000000 at index 1',
    ],
    [
      "a BOOL of 2",
      [{ ...f32, dtype: "BOOL", values: Uint8Array.of(1, 2) }],
      "values of BOOL must be 0 or 1, got 2",
    ],
  ])("refuses %s", async (_, entries, message) => {
    await expect(written(entries)).rejects.toThrow(message);
  });
});
