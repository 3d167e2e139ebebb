import { HeddleError, checkFields, reject, show } from "@heddle/core";
import type { HeddleErrorCode } from "@heddle/core";
import { closedError, type ByteSource } from "./byte-source.ts";
import { checkpointFiles, type CheckpointFiles, type CheckpointLocation } from "./checkpoint-files.ts";
import { isSavedName } from "./directory-commit.ts";
import { openSafetensors, type ReadTensor, type SafetensorsFile } from "./read-safetensors.ts";
import type { TensorInfo } from "./safetensors-header.ts";
import { indexFile, isPlainName, parseShardIndex, weightsFile } from "./shard-index.ts";
import { parseJsonObject, type JsonObject } from "./strict-json.ts";
import type { UrlOptions } from "./url-source.ts";

/** The longest config.json, in bytes. */
const maxConfigBytes = 2 ** 24;
/** The longest index or other text, in bytes. */
const maxTextBytes = 2 ** 28;

/** Weights in a form that is not read. */
const pickledFiles: readonly string[] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/** An open Hugging Face checkpoint. */
export interface Checkpoint {
  readonly name: string;
  /** config.json, parsed; its values are not checked. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The weights' metadata; of shards, the first's. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Every tensor, shard by shard in the order of the data: reading in this order reads forwards. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Reads one tensor's bytes. */
  readonly read: ReadTensor;
  /** True when the directory has this file. */
  has(file: string): Promise<boolean>;
  /** Another file as UTF-8 text, for example tokenizer.json. */
  readText(file: string): Promise<string>;
  /** Another safetensors file beside the weights, for example an optimizer's state; the caller closes it. */
  openTensors(file: string): Promise<SafetensorsFile>;
  close(): Promise<void>;
}

function missing(files: CheckpointFiles, file: string, code: HeddleErrorCode): never {
  throw new HeddleError(code, `${files.name}: ${file} must be there, got no such file`);
}

async function openNamed(files: CheckpointFiles, file: string): Promise<ByteSource | undefined> {
  if (!isPlainName(file)) reject(`${files.name}: a file`, "be a plain name in the directory", file);
  return files.open(file);
}

async function readWhole(
  files: CheckpointFiles,
  file: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const source = await openNamed(files, file);
  if (!source) return undefined;
  try {
    if (source.size > maxBytes)
      reject(source.name, `have at most ${maxBytes} bytes`, source.size, "invalid-data");
    return await source.read(0, source.size);
  } finally {
    await source.close();
  }
}

/** Where each tensor is. */
interface Weights {
  readonly shards: readonly SafetensorsFile[];
  readonly owners: ReadonlyMap<string, SafetensorsFile>;
}

function refusePickle(files: CheckpointFiles, file: string): never {
  const script =
    "import sys, torch; from safetensors.torch import save_file; folder = sys.argv[1]; " +
    "weights = torch.load(folder + '/pytorch_model.bin', map_location='cpu', weights_only=True); " +
    "save_file({name: value.clone().contiguous() for name, value in weights.items()}, " +
    "folder + '/model.safetensors', {'format': 'pt'})";
  throw new HeddleError(
    "unsupported",
    `${files.name}: the weights must be safetensors, got ${file}, which is pickled and could run code; convert it with: python -c "${script}" '${files.name}'`,
  );
}

async function openWeights(files: CheckpointFiles): Promise<Weights> {
  const single = await files.open(weightsFile);
  if (single) {
    const shard = await openSafetensors(single);
    return { shards: [shard], owners: new Map([...shard.tensors.keys()].map((name) => [name, shard])) };
  }
  const index = await readWhole(files, indexFile, maxTextBytes);
  if (!index) {
    for (const pickled of pickledFiles) {
      const source = await files.open(pickled);
      await source?.close();
      if (source) refusePickle(files, pickled);
    }
    return missing(files, weightsFile, "invalid-data");
  }
  const placed = parseShardIndex(`${files.name}: ${indexFile}`, index);
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const file of [...new Set(placed.values())].toSorted()) {
      const source = (await files.open(file)) ?? missing(files, file, "invalid-data");
      shards.set(file, await openSafetensors(source));
    }
    for (const [tensor, file] of placed)
      if (!shards.get(file)!.tensors.has(tensor))
        reject(
          `${files.name}: ${indexFile}: tensor ${show(tensor)}`,
          `be in ${file}`,
          "a shard without it",
          "invalid-data",
        );
  } catch (error) {
    await closeAll([...shards.values()]);
    throw error;
  }
  const owners = new Map<string, SafetensorsFile>();
  // A tensor that the index does not name is left alone.
  for (const [file, shard] of shards)
    for (const name of shard.tensors.keys()) if (placed.get(name) === file) owners.set(name, shard);
  return { shards: [...shards.values()], owners };
}

async function closeAll(shards: readonly SafetensorsFile[]): Promise<void> {
  for (const shard of shards) await shard.close();
}

async function openOnce(files: CheckpointFiles): Promise<{ config: JsonObject; weights: Weights }> {
  // Where it cannot be told what is there, the whole checkpoint may be somewhere else.
  const bytes =
    (await readWhole(files, "config.json", maxConfigBytes)) ??
    missing(files, "config.json", files.list ? "invalid-data" : "io");
  const config = parseJsonObject(`${files.name}: config.json`, bytes);
  return { config, weights: await openWeights(files) };
}

/** Opens again when a save replaced the checkpoint meanwhile, so that config and weights are of one save. */
async function openConsistent(files: CheckpointFiles): Promise<{ config: JsonObject; weights: Weights }> {
  for (let attempt = 1; ; attempt++) {
    const before = await files.version?.();
    let opened: Awaited<ReturnType<typeof openOnce>> | undefined;
    let failure: unknown;
    try {
      opened = await openOnce(files);
    } catch (error) {
      failure = error;
    }
    if ((await files.version?.()) === before) {
      if (opened) return opened;
      throw failure;
    }
    await closeAll(opened?.weights.shards ?? []);
    if (attempt === 10)
      throw new HeddleError(
        "io",
        `${files.name}: the directory must rest while it is opened, got a save each time`,
      );
  }
}

/**
 * Opens a Hugging Face directory: config.json with model.safetensors, or its shards and their index. Reads config,
 * index and headers; tensors are read when asked for.
 *
 * @throws HeddleError io: nothing is there, or a file cannot be read; invalid-data: config.json or weights are missing
 * from what is there, or a file does not hold what it claims; unsupported: only pickled weights (the message holds the command that converts them; they are never read).
 */
export async function openCheckpoint(
  location: CheckpointLocation,
  options: UrlOptions = {},
): Promise<Checkpoint> {
  checkFields("openCheckpoint: options", options, ["signal", "fetch"]);
  const files = checkpointFiles(location, options);
  const { name } = files;
  if ((await files.list?.())?.length === 0)
    throw new HeddleError("io", `${name}: a checkpoint must be there, got no files`);
  const { config, weights } = await openConsistent(files);
  const { shards, owners } = weights;
  let closed = false;

  const tensors = new Map<string, TensorInfo>();
  for (const [tensor, shard] of owners) tensors.set(tensor, shard.tensors.get(tensor)!);

  function owner(tensor: string): SafetensorsFile {
    if (closed) throw closedError(name);
    const shard = owners.get(tensor);
    if (!shard) reject(`${name}: a tensor`, "be one of its names", tensor);
    return shard;
  }

  return {
    name,
    config,
    metadata: shards[0]!.metadata,
    tensors,
    read: (async (tensor: string, readOptions) => owner(tensor).read(tensor, readOptions)) as ReadTensor,
    async has(file) {
      const source = await openNamed(files, file);
      await source?.close();
      return source !== undefined;
    },
    async readText(file) {
      const bytes = (await readWhole(files, file, maxTextBytes)) ?? missing(files, file, "io");
      try {
        return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      } catch (cause) {
        throw new HeddleError("invalid-data", `${name}: ${file} must be UTF-8, got other bytes`, { cause });
      }
    },
    async openTensors(file) {
      return openSafetensors((await openNamed(files, file)) ?? missing(files, file, "io"));
    },
    async close() {
      closed = true;
      await closeAll(shards);
    },
  };
}

export interface FindCheckpointOptions extends UrlOptions {
  /** Names of files that are saved beside the weights and that nothing else has: those of an optimizer's state. @default none */
  readonly beside?: readonly string[];
}

/**
 * Opens a checkpoint where one was saved: undefined where nothing ever was, which is a directory that is not there, is
 * empty, or has other files only. One that lost its config.json or its weights is an error, and not the beginning.
 * @throws HeddleError as `openCheckpoint` does.
 */
export async function findCheckpoint(
  location: CheckpointLocation,
  options: FindCheckpointOptions = {},
): Promise<Checkpoint | undefined> {
  checkFields("findCheckpoint: options", options, ["signal", "fetch", "beside"]);
  const { beside = [], ...urlOptions } = options;
  const tells = (name: string): boolean =>
    isSavedName(name) || pickledFiles.includes(name) || beside.includes(name);
  const names = await checkpointFiles(location, urlOptions).list?.();
  return names === undefined || names.some(tells) ? openCheckpoint(location, urlOptions) : undefined;
}
