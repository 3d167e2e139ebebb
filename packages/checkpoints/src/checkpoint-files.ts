import { reject } from "@heddle/core";
import { fromBlob, type ByteSource } from "./byte-source.ts";
import { currentVersion, listDirectory, openCurrent } from "./directory-commit.ts";
import { filePath, hasNodeFiles } from "./node-files.ts";
import { openUrl, type UrlOptions } from "./url-source.ts";

/** A directory as a checkpoint sees it: a name and files that may be there. */
export interface CheckpointFiles {
  /** Names the directory in errors. */
  readonly name: string;
  /** Opens a file by its plain name; undefined where there is none. */
  open(file: string): Promise<ByteSource | undefined>;
  /** Changes when the directory's checkpoint is replaced; without it, the files are taken not to change. */
  version?(): Promise<string>;
  /** The names of what is there; without it, that cannot be told. */
  list?(): Promise<readonly string[]>;
}

/** A directory of files, a base URL, files by name (as an upload gives them), or any other `CheckpointFiles`. */
export type CheckpointLocation = string | URL | ReadonlyMap<string, Blob> | CheckpointFiles;

function blobFiles(blobs: ReadonlyMap<string, Blob>): CheckpointFiles {
  return {
    name: "files",
    async open(file) {
      const blob = blobs.get(file);
      return blob && fromBlob(blob, file);
    },
    list: async () => [...blobs.keys()],
  };
}

function urlFiles(base: string, options: UrlOptions): CheckpointFiles {
  const name = base.replace(/\/+$/, "");
  return { name, open: (file) => openUrl(`${name}/${encodeURIComponent(file)}`, options) };
}

/** The files at a location. A string is a URL when it begins with `http://` or `https://`, or in a page. */
export function checkpointFiles(location: CheckpointLocation, options: UrlOptions = {}): CheckpointFiles {
  if (location instanceof Map) return blobFiles(location);
  if (location instanceof URL && location.protocol !== "file:") return urlFiles(location.href, options);
  if (typeof location === "string" || location instanceof URL) {
    if (typeof location === "string" && (/^https?:\/\//.test(location) || !hasNodeFiles()))
      return urlFiles(location, options);
    const directory = filePath("openCheckpoint: directory", location).replace(/(?<=.)[/\\]+$/, "");
    return {
      name: directory,
      open: (file) => openCurrent(directory, file),
      version: () => currentVersion(directory),
      list: () => listDirectory(directory),
    };
  }
  if (
    typeof location !== "object" ||
    location === null ||
    !("open" in location) ||
    typeof location.open !== "function"
  )
    reject("openCheckpoint: directory", "be a path, a URL, a Map of Blobs or CheckpointFiles", location);
  return location;
}
