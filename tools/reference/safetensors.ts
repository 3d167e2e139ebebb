/** A tensor as its bytes say it: 64-bit integers as bigint. */
export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | BigInt64Array | Uint8Array;
}

/** A golden file: its tensors, and the object under the metadata's "heddle" key. */
export interface GoldenFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly document: unknown;
}

const views: Record<string, (bytes: ArrayBuffer) => StoredTensor["values"]> = {
  F32: (bytes) => new Float32Array(bytes),
  I32: (bytes) => new Int32Array(bytes),
  I64: (bytes) => new BigInt64Array(bytes),
  BOOL: (bytes) => new Uint8Array(bytes),
};

/**
 * Reads a golden. A reader of its own, so that the check stands on nothing that the goldens test.
 * @throws Error when the file has no "heddle" key or a dtype that no golden has.
 */
export function readGolden(file: Uint8Array): GoldenFile {
  const data = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(data.getBigUint64(0, true));
  const header: unknown = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const { __metadata__: metadata, ...entries } = header as { __metadata__?: Record<string, string> };
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(
    entries as Record<string, Entry>,
  )) {
    const view = views[dtype];
    if (!view)
      throw new Error(
        `readGolden: dtype of ${name} must be one of ${Object.keys(views).join(", ")}, got ${dtype}`,
      );
    // A copy, because the header's length does not align what follows it.
    const bytes = new Uint8Array(file.subarray(start + offsets[0], start + offsets[1])).buffer;
    tensors.set(name, { dtype, shape, values: view(bytes) });
  }
  const text = metadata?.["heddle"];
  if (text === undefined) throw new Error('readGolden: the metadata must have the key "heddle"');
  return { tensors, document: JSON.parse(text) };
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}
