import { checkInteger, HeddleError, reject, show } from "@heddle/core";
import { tensorBytes } from "./safetensors-header.ts";
import { parseJsonObject } from "./strict-json.ts";
import type { TensorEntry } from "./write-safetensors.ts";

export const weightsFile = "model.safetensors";
export const indexFile = "model.safetensors.index.json";

/** Bytes of data a shard, as Hugging Face writes them. */
export const defaultShardBytes = 5_000_000_000;

/** True for a file name that cannot leave its directory: no separator, drive, `..` or hidden name. */
export function isPlainName(name: unknown): name is string {
  return typeof name === "string" && name.length <= 255 && /^[^./\\:\0][^/\\:\0]*$/.test(name);
}

/** True for the files that hold a checkpoint's weights, so that old ones can be told from new ones. */
export function isWeightsName(name: string): boolean {
  return name === weightsFile || name === indexFile || /^model-\d+-of-\d+\.safetensors$/.test(name);
}

/** Reads `model.safetensors.index.json`: tensor name to shard name. */
export function parseShardIndex(where: string, text: Uint8Array): Map<string, string> {
  const { weight_map: weights } = parseJsonObject(where, text);
  if (typeof weights !== "object" || weights === null || Array.isArray(weights))
    reject(`${where}: weight_map`, "be an object", weights, "invalid-data");
  const shards = new Map<string, string>();
  for (const [tensor, file] of Object.entries(weights)) {
    if (!isPlainName(file) || !file.endsWith(".safetensors"))
      reject(
        `${where}: weight_map: ${show(tensor)}`,
        "be the name of a .safetensors file beside the index",
        file,
        "invalid-data",
      );
    shards.set(tensor, file);
  }
  if (shards.size === 0) reject(`${where}: weight_map`, "name at least one tensor", weights, "invalid-data");
  return shards;
}

/** One file of the weights. */
export interface Shard {
  readonly file: string;
  readonly tensors: readonly TensorEntry[];
}

/** Spreads tensors in order over shards of at most `maxBytes` of data; a larger tensor has a shard of its own. */
export function planShards(
  tensors: readonly TensorEntry[],
  maxBytes: number = defaultShardBytes,
): { shards: readonly Shard[]; index?: string } {
  checkInteger("saveCheckpoint: maxShardBytes", maxBytes, { min: 1 });
  const groups: TensorEntry[][] = [[]];
  let filled = 0;
  let total = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.dtype, tensor.shape);
    if (filled + bytes > maxBytes && groups.at(-1)!.length > 0) {
      groups.push([]);
      filled = 0;
    }
    groups.at(-1)!.push(tensor);
    filled += bytes;
    total += bytes;
  }
  if (groups.length === 1) return { shards: [{ file: weightsFile, tensors: groups[0]! }] };
  if (groups.length > 99_999)
    throw new HeddleError(
      "invalid-argument",
      `saveCheckpoint: maxShardBytes must give at most 99999 shards, got ${groups.length}`,
    );
  const digits = (value: number): string => String(value).padStart(5, "0");
  const shards = groups.map((group, at) => ({
    file: `model-${digits(at + 1)}-of-${digits(groups.length)}.safetensors`,
    tensors: group,
  }));
  const map = shards.flatMap((shard) =>
    shard.tensors.map(({ name }) => `    ${JSON.stringify(name)}: ${JSON.stringify(shard.file)}`),
  );
  const index = `{\n  "metadata": {\n    "total_size": ${total}\n  },\n  "weight_map": {\n${map.join(",\n")}\n  }\n}\n`;
  return { shards, index };
}
