/** A model as it was saved, for peers that have weights in their own way. */
import { openCheckpoint } from "@heddle/checkpoints";

export interface SavedTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

export interface SavedModel {
  /** `model_type` of config.json. */
  readonly type: string;
  /** Reads a number of config.json. @throws Error when there is none. */
  size(key: string): number;
  /** Reads a tensor of that name, without the family's prefix. @throws Error when there is none. */
  tensor(name: string): SavedTensor;
}

/** Reads everything: a graph takes all of it. */
export async function readSavedModel(directory: string): Promise<SavedModel> {
  const checkpoint = await openCheckpoint(directory);
  const tensors = new Map<string, SavedTensor>();
  try {
    for (const name of checkpoint.tensors.keys()) {
      const { shape, values } = await checkpoint.read(name, { as: "f32" });
      const inMemory = new Float32Array(values.buffer as ArrayBuffer, values.byteOffset, values.length);
      tensors.set(name.replace(/^(?:bert|longformer|transformer)\./, ""), { shape, values: inMemory });
    }
  } finally {
    await checkpoint.close();
  }
  return {
    type: String(checkpoint.config["model_type"]),
    size(key) {
      const value = checkpoint.config[key];
      if (typeof value !== "number") throw new Error(`config.json: ${key} must be a number, got ${value}`);
      return value;
    },
    tensor(name) {
      const found = tensors.get(name);
      if (!found) throw new Error(`${directory} must have the tensor ${name}, got none`);
      return found;
    },
  };
}

/** The rows of [batch L, width] whose tokens are kept, in order. */
export function keptRows(rows: Float32Array, keep: Int32Array): Float32Array {
  const width = rows.length / keep.length;
  const kept = [...keep.keys()].filter((row) => keep[row] === 1);
  const result = new Float32Array(kept.length * width);
  kept.forEach((row, i) => result.set(rows.subarray(row * width, (row + 1) * width), i * width));
  return result;
}
