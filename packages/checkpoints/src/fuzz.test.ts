import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { breakCheckpoint, damageKinds } from "@heddle/conformance";
import { HeddleError } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { openCheckpoint, saveCheckpoint, type Dtype, type StoredTensor, type TensorEntry } from "./index.ts";
import { viewAs } from "./dtypes.ts";
import { tensorBytes } from "./safetensors-header.ts";

function tensor(name: string, dtype: Dtype, shape: readonly number[]): TensorEntry {
  const bytes = Uint8Array.from({ length: tensorBytes(dtype, shape) }, (_, at) =>
    dtype === "BOOL" ? at % 2 : 1 + (at % 50),
  );
  return { name, dtype, shape, values: viewAs[dtype](bytes.buffer) };
}

async function valid(maxShardBytes?: number): Promise<Map<string, Uint8Array>> {
  const blobs = new Map<string, Blob>();
  await saveCheckpoint(blobs, {
    config: { model_type: "gpt2", n_embd: 4, n_head: 2, n_layer: 1, vocab_size: 7, task: { a: 1, b: [2] } },
    tensors: [
      tensor("wte.weight", "F32", [7, 4]),
      tensor("wpe.weight", "F32", [3, 4]),
      tensor("h.0.attn.weight", "F16", [4, 12]),
      tensor("h.0.attn.bias", "BF16", [12]),
      tensor("positions", "I64", [1, 3]),
      tensor("counts", "I32", [2]),
      tensor("bytes", "U8", [5]),
      tensor("mask", "BOOL", [3, 3]),
    ],
    maxShardBytes,
  });
  const files = new Map<string, Uint8Array>();
  for (const [name, blob] of blobs) files.set(name, new Uint8Array(await blob.arrayBuffer()));
  return files;
}

async function readAll(location: string | Map<string, Blob>): Promise<Map<string, StoredTensor>> {
  const checkpoint = await openCheckpoint(location);
  try {
    const read = new Map<string, StoredTensor>();
    for (const name of checkpoint.tensors.keys()) read.set(name, await checkpoint.read(name));
    return read;
  } finally {
    await checkpoint.close();
  }
}

const blobsOf = (files: ReadonlyMap<string, Uint8Array<ArrayBufferLike>>): Map<string, Blob> =>
  new Map([...files].map(([name, bytes]) => [name, new Blob([new Uint8Array(bytes)])]));

describe("2,000 broken checkpoint directories", () => {
  it("each opens with the right tensors or throws a HeddleError, soon", async () => {
    const root = await mkdtemp(join(tmpdir(), "heddle-fuzz-"));
    const bases = [await valid(), await valid(120)];
    expect(bases.map((files) => files.size)).toEqual([2, 6]);
    const originals = await Promise.all(bases.map((files) => readAll(blobsOf(files))));
    const outcomes = new Map<string, { opened: number; refused: number }>();
    let slowest = 0;

    for (let seed = 0; seed < 2000; seed++) {
      const at = Math.floor(seed / damageKinds.length) % 2;
      const { files, damage, dataChanged } = breakCheckpoint(bases[at]!, seed);
      let location: string | Map<string, Blob> = blobsOf(files);
      if (seed % 10 === 0) {
        location = join(root, String(seed));
        await mkdir(location);
        for (const [name, bytes] of files) await writeFile(join(location, name), bytes);
      }
      const kind = damageKinds[seed % damageKinds.length]!;
      const outcome = outcomes.get(kind) ?? { opened: 0, refused: 0 };
      outcomes.set(kind, outcome);
      const begin = performance.now();
      try {
        for (const [name, { dtype, shape, values }] of await readAll(location)) {
          const original = originals[at]!.get(name);
          expect(values.byteLength, damage).toBe(tensorBytes(dtype, shape));
          if (original) expect([dtype, shape], damage).toEqual([original.dtype, original.shape]);
          if (original && !dataChanged) expect(values, damage).toEqual(original.values);
        }
        outcome.opened++;
      } catch (error) {
        if (!(error instanceof HeddleError)) throw new Error(damage, { cause: error });
        expect(["invalid-data", "io", "unsupported"], damage).toContain(error.code);
        expect(error.message, damage).toMatch(/ must /);
        expect(error.message.length, damage).toBeLessThan(800);
        outcome.refused++;
      }
      slowest = Math.max(slowest, performance.now() - begin);
    }

    await rm(root, { recursive: true });
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("polluted");
    expect(slowest).toBeLessThan(2000);
    // Changed values of a config are no matter of the file format; all that the format can tell is refused.
    for (const kind of ["headerLies", "lengthLies", "noise"])
      expect([kind, outcomes.get(kind)!.opened]).toEqual([kind, 0]);
    expect(outcomes.get("flipData")!.opened).toBeGreaterThan(90);
    const refused = [...outcomes.values()].reduce((sum, outcome) => sum + outcome.refused, 0);
    expect(refused).toBeGreaterThan(1200);
  });
});
