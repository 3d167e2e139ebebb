/** Checkpoints in memory, changed for a test. */
import { openCheckpoint, saveCheckpoint } from "@heddle/checkpoints";
import type { TensorEntry } from "@heddle/checkpoints";

/** What to change of a checkpoint. */
export interface CheckpointEdit {
  /** The tensors to write, made of those read. @default the same */
  readonly tensors?: (tensors: readonly TensorEntry[]) => readonly TensorEntry[];
  /** Keys of config.json to set. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly maxShardBytes?: number;
}

/** A changed copy of a checkpoint. */
export async function editCheckpoint(
  files: ReadonlyMap<string, Blob>,
  { tensors = (same) => same, config, maxShardBytes }: CheckpointEdit,
): Promise<Map<string, Blob>> {
  const checkpoint = await openCheckpoint(files);
  const read: TensorEntry[] = [];
  for (const name of checkpoint.tensors.keys()) read.push({ name, ...(await checkpoint.read(name)) });
  await checkpoint.close();
  const edited = new Map<string, Blob>();
  await saveCheckpoint(edited, {
    config: { ...checkpoint.config, ...config },
    tensors: tensors(read),
    ...(maxShardBytes !== undefined && { maxShardBytes }),
  });
  return edited;
}

/** The same tensors under other names: `editCheckpoint(files, { tensors: renameTensors((name) => …) })`. */
export function renameTensors(
  rename: (name: string) => string,
): (tensors: readonly TensorEntry[]) => TensorEntry[] {
  return (tensors) => tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
}

const arrays = { F32: Float32Array, U8: Uint8Array, I64: BigInt64Array };

/** A tensor of zeros. */
export function zeroTensor(
  name: string,
  shape: readonly number[],
  dtype: "F32" | "U8" | "I64" = "F32",
): TensorEntry {
  const size = shape.reduce((product, length) => product * length, 1);
  return { name, dtype, shape, values: new arrays[dtype](size) };
}
