/**
 * The header of a safetensors file: https://huggingface.co/docs/safetensors. 8 bytes little-endian N, N bytes of JSON
 * that begin with `{` (padded at the end with spaces), then the data: every byte of it belongs to one tensor, in
 * row-major order, little-endian.
 */
import { HeddleError, show } from "@heddle/core";
import type { ByteSource } from "./byte-source.ts";
import { dtypeBytes, dtypeNames, type Dtype } from "./dtypes.ts";
import { parseJsonObject } from "./strict-json.ts";

/** The longest header, in bytes: the limit of the reference implementation. */
export const maxHeaderBytes = 100_000_000;

/** Where a tensor lies and what it is. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** What stands before the data of a safetensors file. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

function fail(
  where: string,
  rule: string,
  value: unknown,
  code: "invalid-data" | "unsupported" = "invalid-data",
): never {
  throw new HeddleError(code, `${where} must ${rule}, got ${show(value)}`);
}

function checkMetadata(where: string, value: unknown): Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail(where, "be an object of strings", value);
  for (const [key, text] of Object.entries(value))
    if (typeof text !== "string") fail(`${where}: ${show(key)}`, "be a string", text);
  return value as Record<string, string>;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** The length of a tensor in bytes, or NaN beyond 2^53 - 1. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  let bytes = dtypeBytes[dtype];
  for (const size of shape) {
    bytes *= size;
    if (!Number.isSafeInteger(bytes)) return NaN;
  }
  return bytes;
}

function checkTensor(where: string, value: unknown, dataStart: number, dataBytes: number): TensorInfo {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    fail(where, "be an object with dtype, shape and data_offsets", value);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== "string") fail(`${where}: dtype`, "be a string", dtype);
  if (!dtypeNames.includes(dtype as Dtype))
    fail(`${where}: dtype`, `be one of ${dtypeNames.join(", ")}`, dtype, "unsupported");
  if (!isSizes(shape)) fail(`${where}: shape`, "be an array of integers >= 0", shape);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!)
    fail(`${where}: data_offsets`, "be [begin, end] with 0 <= begin <= end", offsets);
  const [begin, end] = offsets as [number, number];
  if (end > dataBytes) fail(`${where}: data_offsets`, `end within the ${dataBytes} bytes of data`, offsets);
  const byteLength = tensorBytes(dtype as Dtype, shape);
  if (Number.isNaN(byteLength)) fail(`${where}: shape`, "stay below 2^53 bytes", shape);
  if (byteLength !== end - begin)
    fail(`${where}: data_offsets`, `span the ${byteLength} bytes of ${dtype} ${show(shape)}`, offsets);
  return {
    dtype: dtype as Dtype,
    shape: shape.map((size) => size + 0),
    byteOffset: dataStart + begin,
    byteLength,
  };
}

/**
 * Reads and checks the whole header; no byte of data is read.
 *
 * @throws HeddleError invalid-data names the file, the tensor and the rule; unsupported: a dtype that Heddle lacks.
 */
export async function readHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { name, size } = source;
  if (size < 8) fail(`${name}: a safetensors file`, "have at least 8 bytes", size);
  const length = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes))
    fail(`${name}: the header`, `have at most ${maxHeaderBytes} bytes`, length);
  const dataStart = 8 + Number(length);
  if (dataStart > size) fail(`${name}: the header`, `end within the file's ${size} bytes`, dataStart);
  const bytes = await source.read(8, dataStart);
  if (bytes[0] !== 0x7b) fail(`${name}: the header`, "begin with {", bytes[0]);
  const entries = Object.entries(parseJsonObject(`${name}: the header`, bytes));

  const dataBytes = size - dataStart;
  let metadata: Record<string, string> = {};
  const tensors: [string, TensorInfo][] = [];
  for (const [key, value] of entries) {
    if (key === "__metadata__") metadata = checkMetadata(`${name}: __metadata__`, value);
    else tensors.push([key, checkTensor(`${name}: tensor ${show(key)}`, value, dataStart, dataBytes)]);
  }
  tensors.sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let next = dataStart;
  for (const [key, { byteOffset, byteLength }] of tensors) {
    if (byteOffset !== next)
      fail(
        `${name}: tensor ${show(key)}: data_offsets`,
        `begin at ${next - dataStart}, where the tensor before it ends`,
        byteOffset - dataStart,
      );
    next += byteLength;
  }
  if (next !== size) fail(`${name}: the tensors`, `cover the ${dataBytes} bytes of data`, next - dataStart);
  return { metadata, tensors: new Map(tensors) };
}
