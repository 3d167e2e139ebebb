import { fromBlob, fromFile, openSafetensors } from "@heddle/checkpoints";
import type { ByteSource, StoredTensor } from "@heddle/checkpoints";
import { reject } from "@heddle/core";

/** What PyTorch computed, read from a file that tools/reference made; its README says what a file holds. */
export interface Golden {
  /** The file's metadata: `family`, `case`, `seed`, `notes`, and `config` or `options`. */
  readonly info: Readonly<Record<string, unknown>>;
  /** Names of all tensors, sorted. */
  readonly names: readonly string[];
  /** A tensor as it is stored. @throws HeddleError for a name that is not there. */
  tensor(name: string): StoredTensor;
  /** The values of a float32 tensor. @throws HeddleError for another dtype. */
  floats(name: string): Float32Array<ArrayBuffer>;
  /** The values of an integer or boolean tensor as int32. @throws HeddleError for floats. */
  integers(name: string): Int32Array<ArrayBuffer>;
}

async function fetched(url: URL): Promise<ByteSource> {
  const response = await fetch(url);
  if (!response.ok) reject("readGolden: url", "name a file that is there", url.href);
  return fromBlob(await response.blob(), url.pathname);
}

/** Reads a whole golden, in a page too: `await readGolden(new URL("./goldens/tiny.safetensors", import.meta.url))`. */
export async function readGolden(url: URL): Promise<Golden> {
  const isFile = url.protocol === "file:";
  const file = await openSafetensors(await (isFile ? fromFile(url) : fetched(url)));
  const tensors = new Map<string, StoredTensor>();
  try {
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  } finally {
    await file.close();
  }
  const tensor = (name: string): StoredTensor =>
    tensors.get(name) ?? reject(`${file.name}: tensor`, "be in the golden", name);
  return {
    info: JSON.parse(file.metadata["heddle"] ?? "{}"),
    names: [...tensors.keys()].toSorted(),
    tensor,
    floats(name) {
      const { dtype, values } = tensor(name);
      if (dtype !== "F32") reject(`${file.name}: ${name}`, "be F32", dtype);
      return values;
    },
    integers(name) {
      const { dtype, values } = tensor(name);
      if (dtype === "I64") return Int32Array.from(values, Number);
      if (dtype !== "I32" && dtype !== "BOOL" && dtype !== "U8")
        reject(`${file.name}: ${name}`, "hold integers or booleans", dtype);
      return Int32Array.from(values);
    },
  };
}
