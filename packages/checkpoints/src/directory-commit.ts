/**
 * How a directory passes from one checkpoint to the next as a whole.
 *
 *     DIR/.heddle-saving-<id>/   the new files, being written; means nothing to a reader
 *     DIR/.heddle-commit/        the same folder renamed: the one step that commits
 *       .manifest.json           names every file of the new checkpoint
 *
 * A save writes and syncs every file into the first folder, renames the folder, then moves the files over the old ones
 * and removes the folder. Before the rename the old checkpoint is untouched; after it the new one is whole: a reader
 * takes each file of the manifest from the folder, or, where it was moved already, from DIR. So a crash anywhere leaves
 * exactly one of the two, and reading writes nothing. The next save finishes the moves. While files move, DIR has no
 * config.json, so that a reader which knows nothing of the folder sees no model rather than a mixed one.
 */
import { HeddleError, reject } from "@heddle/core";
import { fromFile, type ByteSource } from "./byte-source.ts";
import { newFile, type ByteSink } from "./byte-sink.ts";
import {
  absolutePath,
  ioError,
  makeFolder,
  nodeFiles,
  syncDirectory,
  systemCode,
  type NodeFiles,
} from "./node-files.ts";
import { isPlainName, isWeightsName } from "./shard-index.ts";
import { parseJsonObject } from "./strict-json.ts";

const commitFolder = ".heddle-commit";
const savingPrefix = ".heddle-saving-";
/** Hidden, so that no file of a checkpoint can have its name. */
const manifestFile = ".manifest.json";
const configFile = "config.json";

/** Opens a file; undefined where there is none. */
async function openFile(path: string): Promise<ByteSource | undefined> {
  try {
    return await fromFile(path);
  } catch (error) {
    if (error instanceof HeddleError && systemCode(error.cause) === "ENOENT") return undefined;
    throw error;
  }
}

/** The files of a committed checkpoint whose moves are not finished; undefined where nothing is under way. */
async function readManifest(directory: string): Promise<readonly string[] | undefined> {
  const source = await openFile(`${directory}/${commitFolder}/${manifestFile}`);
  if (!source) return undefined;
  try {
    const where = source.name;
    if (source.size > 2 ** 24) reject(where, "have at most 16777216 bytes", source.size, "invalid-data");
    const { files } = parseJsonObject(where, await source.read(0, source.size));
    if (!Array.isArray(files) || !files.every(isPlainName))
      reject(`${where}: files`, "be an array of file names", files, "invalid-data");
    return files;
  } finally {
    await source.close();
  }
}

/** Opens a file of the checkpoint that is current in a directory; undefined where it has none of that name. */
export async function openCurrent(directory: string, file: string): Promise<ByteSource | undefined> {
  const manifest = await readManifest(directory);
  if (manifest?.includes(file)) {
    const source = await openFile(`${directory}/${commitFolder}/${file}`);
    if (source) return source;
  } else if (manifest && (isWeightsName(file) || file === configFile)) return undefined;
  return openFile(`${directory}/${file}`);
}

/** Changes whenever another checkpoint becomes current, or its files move. */
export async function currentVersion(directory: string): Promise<string> {
  const files = nodeFiles("openCheckpoint");
  async function stamp(path: string): Promise<string> {
    try {
      const { ino, size, mtimeMs } = await files.stat(path);
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      if (systemCode(error) === "ENOENT") return "none";
      throw ioError("reading", path, error);
    }
  }
  const commit = await stamp(`${directory}/${commitFolder}/${manifestFile}`);
  return `${commit}; ${await stamp(`${directory}/${configFile}`)}`;
}

/** What a directory has, but for saves that broke off before their commit; nothing where there is no directory. */
export async function listDirectory(directory: string): Promise<readonly string[]> {
  try {
    const found = await nodeFiles("openCheckpoint").readdir(directory);
    return found.filter((name) => !name.startsWith(savingPrefix));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw ioError("reading", directory, error);
  }
}

/** True for what only a save leaves: config.json, weights, or the folder of a commit whose moves are not finished. */
export function isSavedName(name: string): boolean {
  return name === configFile || name === commitFolder || isWeightsName(name);
}

async function exists(files: NodeFiles, path: string): Promise<boolean> {
  try {
    await files.stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Moves the files of a committed checkpoint into place. Interrupted, it can be run again. */
async function finish(files: NodeFiles, directory: string): Promise<void> {
  const commit = `${directory}/${commitFolder}`;
  const manifest = await readManifest(directory);
  if (manifest) {
    if (await exists(files, `${commit}/${configFile}`)) {
      await files.rm(`${directory}/${configFile}`, { force: true, recursive: false });
      await syncDirectory(files, directory);
    }
    for (const old of await files.readdir(directory))
      if (isWeightsName(old) && !manifest.includes(old))
        await files.rm(`${directory}/${old}`, { force: true, recursive: false });
    // config.json last: it makes the directory a checkpoint for every reader.
    for (const file of manifest.toSorted((a, b) => Number(a === configFile) - Number(b === configFile))) {
      try {
        await files.rename(`${commit}/${file}`, `${directory}/${file}`);
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
      }
    }
    await syncDirectory(files, directory);
    await files.rm(`${commit}/${manifestFile}`, { force: true, recursive: false });
  }
  await files.rm(commit, { force: true, recursive: true });
}

/** A checkpoint being written: every file becomes current at `commit`, or none. */
export interface CheckpointWriter {
  create(file: string): Promise<ByteSink>;
  commit(): Promise<void>;
  /** Removes what was written. Never throws. */
  discard(): Promise<void>;
}

/** Absolute paths of the directories that are saved into now. */
const saving = new Set<string>();

/** Begins a save into a directory, which is made where it is missing; one at a time. */
export async function writeDirectory(directory: string): Promise<CheckpointWriter> {
  const files = nodeFiles("saveCheckpoint");
  const place = absolutePath("saveCheckpoint", directory);
  if (saving.has(place))
    throw new HeddleError(
      "invalid-state",
      `saveCheckpoint: ${directory} must have one save at a time, got a second`,
    );
  saving.add(place);
  const folder = `${directory}/${savingPrefix}${crypto.randomUUID()}`;
  const written: string[] = [];

  async function discard(): Promise<void> {
    await files.rm(folder, { force: true, recursive: true }).catch(() => undefined);
    saving.delete(place);
  }

  try {
    await makeFolder(files, directory);
    await finish(files, directory);
    for (const left of await files.readdir(directory))
      if (left.startsWith(savingPrefix))
        await files.rm(`${directory}/${left}`, { force: true, recursive: true });
    await files.mkdir(folder);
  } catch (cause) {
    await discard();
    throw ioError("saving", directory, cause);
  }

  return {
    async create(file) {
      written.push(file);
      return newFile(files, `${folder}/${file}`);
    },
    async commit() {
      const manifest = await newFile(files, `${folder}/${manifestFile}`);
      try {
        await manifest.write(new TextEncoder().encode(JSON.stringify({ files: written })));
        await manifest.commit();
        await syncDirectory(files, folder);
        await files.rename(folder, `${directory}/${commitFolder}`);
      } catch (cause) {
        await manifest.discard();
        throw ioError("saving", directory, cause);
      }
      try {
        await syncDirectory(files, directory);
        await finish(files, directory);
      } catch (cause) {
        throw new HeddleError(
          "io",
          `${directory}: moving the saved files into place must succeed, got ${String(cause)}; the new checkpoint is whole, openCheckpoint reads it and the next save finishes the moves`,
          { cause },
        );
      } finally {
        // Not before: a second save would meet moves under way, which could take its files for the first one's.
        saving.delete(place);
      }
    },
    discard,
  };
}
