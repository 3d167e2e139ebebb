import { HeddleError, checkFields, reject, show } from "@heddle/core";
import { toBlob, type ByteSink } from "./byte-sink.ts";
import { writeDirectory, type CheckpointWriter } from "./directory-commit.ts";
import { filePath, nodeFiles } from "./node-files.ts";
import { defaultShardBytes, indexFile, isPlainName, isWeightsName, planShards } from "./shard-index.ts";
import { parseJsonObject } from "./strict-json.ts";
import { checkEntries, writeSafetensors, type TensorEntry } from "./write-safetensors.ts";

/** A safetensors file beside the weights. */
export interface TensorsFile {
  readonly tensors: Iterable<TensorEntry>;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface SaveCheckpointOptions {
  /** Becomes config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The weights, in the order in which they are written. */
  readonly tensors: Iterable<TensorEntry>;
  /** @default { format: "pt" }, without which transformers refuses the file */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Further files by name, saved with the weights or not at all: text, bytes, or tensors (an optimizer's state). */
  readonly files?: Readonly<Record<string, string | Uint8Array | TensorsFile>>;
  /** Bytes of data a shard. @default 5e9 */
  readonly maxShardBytes?: number;
}

/** Where a checkpoint is saved: a directory in Node, or a map that receives the files. */
export type SaveLocation = string | URL | Map<string, Blob>;

/**
 * Checks that something is a place to save to, so that long work need not end before that is known.
 * @param where Names the place in the error: `"train: checkpoint.directory"`.
 * @throws HeddleError `invalid-argument` for what is no place, `unsupported` for a directory where there are no files.
 */
export function checkSaveLocation(where: string, location: SaveLocation): void {
  if (location instanceof Map) return;
  filePath(where, location);
  nodeFiles(where);
}

function configText(config: Readonly<Record<string, unknown>>): string {
  const where = "saveCheckpoint: config";
  let text: string | undefined;
  try {
    text = JSON.stringify(
      config,
      (key, value: unknown) => {
        if (typeof value === "number" && !Number.isFinite(value))
          reject(`${where}: ${show(key)}`, "be a finite number", value);
        return value;
      },
      2,
    );
  } catch (cause) {
    if (cause instanceof HeddleError) throw cause;
    throw new HeddleError("invalid-argument", `${where} must be JSON, got ${String(cause)}`, { cause });
  }
  if (text === undefined) reject(where, "be an object", config);
  parseJsonObject(where, text);
  return `${text}\n`;
}

/** Collects the files and gives them to the map at once. */
function writeMap(target: Map<string, Blob>): CheckpointWriter {
  const written = new Map<string, Blob>();
  return {
    async create(file) {
      return toBlob(file, (blob) => written.set(file, blob));
    },
    async commit() {
      for (const file of target.keys()) if (isWeightsName(file)) target.delete(file);
      for (const [file, blob] of written) target.set(file, blob);
    },
    async discard() {
      written.clear();
    },
  };
}

async function writeAll(sink: ByteSink, bytes: Uint8Array): Promise<void> {
  try {
    await sink.write(bytes);
    await sink.commit();
  } catch (error) {
    await sink.discard();
    throw error;
  }
}

/**
 * Saves a Hugging Face directory: config.json, model.safetensors (or shards and their index) and further files, all of
 * them or none. After an error or a crash at any moment the directory holds one whole checkpoint, the old one or the
 * new one; `openCheckpoint` finds it (directory-commit.ts says how). Needs the space of both. Files of the directory
 * that are not named here stay, but for old weights. One process at a time may save into a directory: a second one
 * would remove what the first is writing. Within a process a second save is refused.
 *
 * @throws HeddleError io with the path and the cause: the old checkpoint is untouched, unless the message says that the
 * new one is whole; invalid-argument; not-finite: a float too large for its dtype; invalid-state: another save into
 * the directory runs.
 */
export async function saveCheckpoint(location: SaveLocation, options: SaveCheckpointOptions): Promise<void> {
  checkFields("saveCheckpoint: options", options, [
    "config",
    "tensors",
    "metadata",
    "files",
    "maxShardBytes",
  ]);
  const {
    config,
    tensors,
    metadata = { format: "pt" },
    files = {},
    maxShardBytes = defaultShardBytes,
  } = options;
  const text = configText(config);
  const entries = [...tensors];
  checkEntries("saveCheckpoint", entries);
  const { shards, index } = planShards(entries, maxShardBytes);
  for (const [file, content] of Object.entries(files)) {
    if (!isPlainName(file) || isWeightsName(file) || file === "config.json")
      reject("saveCheckpoint: files", "be plain names other than those of the config and the weights", file);
    if (typeof content === "string" || content instanceof Uint8Array) continue;
    if (!content?.tensors)
      reject(`saveCheckpoint: files: ${show(file)}`, "be text, bytes or { tensors }", content);
    checkFields(`saveCheckpoint: files: ${show(file)}`, content, ["tensors", "metadata"]);
  }

  const writer =
    location instanceof Map
      ? writeMap(location)
      : await writeDirectory(filePath("saveCheckpoint: directory", location).replace(/(?<=.)[/\\]+$/, ""));
  const utf8 = new TextEncoder();
  try {
    for (const shard of shards)
      await writeSafetensors(await writer.create(shard.file), shard.tensors, metadata);
    if (index !== undefined) await writeAll(await writer.create(indexFile), utf8.encode(index));
    for (const [file, content] of Object.entries(files)) {
      const sink = await writer.create(file);
      if (typeof content === "string") await writeAll(sink, utf8.encode(content));
      else if (content instanceof Uint8Array) await writeAll(sink, content);
      else await writeSafetensors(sink, content.tensors, content.metadata);
    }
    await writeAll(await writer.create("config.json"), utf8.encode(text));
    await writer.commit();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}
