import { checkFields, checkOneOf, HeddleError, reject, show, widenBF16, widenF16 } from "@heddle/core";
import { closedError, type ByteSource } from "./byte-source.ts";
import { viewAs, type Dtype, type StoredValues } from "./dtypes.ts";
import { readHeader, type TensorInfo } from "./safetensors-header.ts";

/** A tensor as it is stored; the dtype tells the type of its values. */
export type StoredTensor = {
  readonly [D in Dtype]: {
    readonly dtype: D;
    readonly shape: readonly number[];
    readonly values: StoredValues[D];
  };
}[Dtype];

/** A tensor of float32. */
export type FloatTensor = Extract<StoredTensor, { dtype: "F32" }>;

export interface ReadOptions {
  /**
   * `"stored"` keeps the dtype, F16 and BF16 as bits; `"f32"` widens F16 and BF16 exactly and refuses integers.
   * @default "stored"
   */
  readonly as?: "stored" | "f32";
}

/** Reads one tensor by name. */
export interface ReadTensor {
  (name: string, options: { readonly as: "f32" }): Promise<FloatTensor>;
  (name: string, options?: ReadOptions): Promise<StoredTensor>;
}

/** An open safetensors file. */
export interface SafetensorsFile {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the data: reading in this order reads the file forwards. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads the bytes of this tensor only, into a buffer that the caller owns. */
  readonly read: ReadTensor;
  /** Closes the source. */
  close(): Promise<void>;
}

function tensorOf<D extends Dtype>(dtype: D, shape: readonly number[], bytes: ArrayBuffer): StoredTensor {
  return { dtype, shape, values: viewAs[dtype](bytes) } as StoredTensor;
}

function asFloat(where: string, tensor: StoredTensor): FloatTensor {
  switch (tensor.dtype) {
    case "F32":
      return tensor;
    case "F16":
      return { dtype: "F32", shape: tensor.shape, values: widenF16(tensor.values) };
    case "BF16":
      return { dtype: "F32", shape: tensor.shape, values: widenBF16(tensor.values) };
    default:
      throw new HeddleError(
        "unsupported",
        `${where} must be F32, F16 or BF16 to be read as f32, got ${tensor.dtype}`,
      );
  }
}

/**
 * Opens a safetensors file: reads and checks its header; tensors are read when asked for, each alone.
 * The file owns the source: `close()`, or an error here, closes it.
 *
 * @throws HeddleError invalid-data: the file is not what the format says; no part of it has become a tensor.
 */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const { name } = source;
  let header: Awaited<ReturnType<typeof readHeader>>;
  try {
    header = await readHeader(source);
  } catch (error) {
    await source.close();
    throw error;
  }
  const { metadata, tensors } = header;
  let closed = false;

  async function read(key: string, options: { readonly as: "f32" }): Promise<FloatTensor>;
  async function read(key: string, options?: ReadOptions): Promise<StoredTensor>;
  async function read(key: string, options: ReadOptions = {}): Promise<StoredTensor> {
    if (closed) throw closedError(name);
    const where = `${name}: tensor ${show(key)}`;
    checkFields(`${where}: options`, options, ["as"]);
    const { as = "stored" } = options;
    checkOneOf(`${where}: as`, as, ["stored", "f32"]);
    const info = tensors.get(key);
    if (!info) throw new HeddleError("invalid-argument", `${where} must be in the file, got no such name`);
    const { dtype, shape, byteOffset, byteLength } = info;
    const bytes = await source.read(byteOffset, byteOffset + byteLength);
    if (dtype === "BOOL" && bytes.some((byte) => byte > 1))
      reject(
        where,
        "hold only 0 and 1, as BOOL",
        bytes.find((byte) => byte > 1),
        "invalid-data",
      );
    const stored = tensorOf(dtype, shape, bytes.buffer);
    return as === "f32" ? asFloat(where, stored) : stored;
  }

  return {
    name,
    metadata,
    tensors,
    read,
    async close() {
      closed = true;
      await source.close();
    },
  };
}
