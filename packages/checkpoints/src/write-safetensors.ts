import { checkInteger, checkOneOf, HeddleError, reject, show } from "@heddle/core";
import type { ByteSink } from "./byte-sink.ts";
import { dtypeBytes, dtypeNames, narrow, type Dtype, type StoredValues } from "./dtypes.ts";
import { maxHeaderBytes, tensorBytes } from "./safetensors-header.ts";

/** Values to write: as the dtype stores them, or float32 to be rounded to F16 or BF16. */
export type TensorValues =
  StoredValues[Dtype] | Float32Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array;

/** A tensor to write. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The values, or a function that gives them when their turn comes, so that one tensor at a time is in memory. */
  readonly values: TensorValues | (() => TensorValues | Promise<TensorValues>);
}

const arrayNames: Readonly<Record<Dtype, readonly string[]>> = {
  F32: ["Float32Array"],
  F16: ["Float32Array", "Uint16Array"],
  BF16: ["Float32Array", "Uint16Array"],
  I64: ["BigInt64Array"],
  I32: ["Int32Array"],
  U8: ["Uint8Array"],
  BOOL: ["Uint8Array"],
};

/** Checks what can be known before the values are there. */
export function checkEntries(where: string, entries: readonly TensorEntry[]): void {
  const names = new Set<string>();
  for (const { name, dtype, shape } of entries) {
    if (typeof name !== "string" || name === "__metadata__" || name === "__proto__")
      reject(`${where}: a tensor's name`, "be a string other than __metadata__ and __proto__", name);
    if (names.has(name)) reject(`${where}: tensor names`, "differ from each other", name);
    names.add(name);
    const tensor = `${where}: tensor ${show(name)}`;
    checkOneOf(`${tensor}: dtype`, dtype, dtypeNames);
    if (!Array.isArray(shape)) reject(`${tensor}: shape`, "be an array", shape);
    for (const size of shape) checkInteger(`${tensor}: shape`, size, { min: 0 });
    if (Number.isNaN(tensorBytes(dtype, shape))) reject(`${tensor}: shape`, "stay below 2^53 bytes", shape);
  }
}

function encode(where: string, { dtype, shape }: TensorEntry, values: TensorValues): Uint8Array {
  const kind = ArrayBuffer.isView(values) ? values.constructor.name : typeof values;
  // A Node Buffer is bytes too.
  if (!arrayNames[dtype].includes(kind === "Buffer" ? "Uint8Array" : kind))
    reject(`${where}: values of ${dtype}`, `be of type ${arrayNames[dtype].join(" or ")}`, kind);
  const length = tensorBytes(dtype, shape) / dtypeBytes[dtype];
  if (values.length !== length)
    reject(`${where}: values`, `have length ${length} for ${show(shape)}`, values.length);
  if (dtype === "BOOL" && (values as Uint8Array).some((byte) => byte > 1))
    reject(
      `${where}: values of BOOL`,
      "be 0 or 1",
      (values as Uint8Array).find((byte) => byte > 1),
    );
  const stored =
    values instanceof Float32Array && (dtype === "F16" || dtype === "BF16")
      ? narrow(where, dtype, values)
      : values;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function headerBytes(
  where: string,
  entries: readonly TensorEntry[],
  metadata: Record<string, string>,
): Uint8Array {
  const parts: string[] = [];
  const texts = Object.entries(metadata);
  for (const [key, text] of texts)
    if (typeof text !== "string" || key === "__proto__")
      reject(`${where}: metadata ${show(key)}`, "be a string", text);
  if (texts.length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let begin = 0;
  for (const { name, dtype, shape } of entries) {
    const end = begin + tensorBytes(dtype, shape);
    parts.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  if (json.length > maxHeaderBytes)
    reject(`${where}: the header`, `have at most ${maxHeaderBytes} bytes`, json.length);
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return bytes;
}

/**
 * Writes a safetensors file, one tensor in memory at a time, and commits the sink; after any error the sink is
 * discarded. Larger dtypes come first, so that every tensor is aligned; otherwise the given order is kept.
 *
 * @throws HeddleError invalid-argument, not-finite (a float too large for its dtype) or io.
 */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: Iterable<TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const where = sink.name;
  try {
    const entries = [...tensors];
    checkEntries(where, entries);
    entries.sort((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype]);
    await sink.write(headerBytes(where, entries, metadata));
    for (const entry of entries) {
      const values = typeof entry.values === "function" ? await entry.values() : entry.values;
      await sink.write(encode(`${where}: tensor ${show(entry.name)}`, entry, values));
    }
    await sink.commit();
  } catch (error) {
    await sink.discard();
    if (error instanceof RangeError)
      throw new HeddleError("unsupported", `${where}: each tensor must fit in memory, got ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}
