import { expect, it } from "vitest";
import { fromBytes } from "./byte-source.ts";
import { openCheckpoint } from "./open-checkpoint.ts";
import { openSafetensors } from "./read-safetensors.ts";
import { saveCheckpoint } from "./save-checkpoint.ts";
import { fromUrl } from "./url-source.ts";

const one = { name: "a", dtype: "F32", shape: [1], values: Float32Array.of(1) } as const;

it("refuses misspelt options, null ones, and names those there are", async () => {
  const files = new Map<string, Blob>();
  const saved = { config: {}, tensors: [one] };
  await expect(saveCheckpoint(files, { ...saved, shardBytes: 8 } as never)).rejects.toThrow(
    'saveCheckpoint: options must have only the fields config, tensors, metadata, files, maxShardBytes, got "shardBytes"',
  );
  await expect(saveCheckpoint(files, null as never)).rejects.toThrow(
    "saveCheckpoint: options must be an object of config",
  );
  const beside = { "optimizer.safetensors": { tensors: [one], metdata: {} } } as never;
  await expect(saveCheckpoint(files, { ...saved, files: beside })).rejects.toThrow(
    'saveCheckpoint: files: "optimizer.safetensors" must have only the fields tensors, metadata, got "metdata"',
  );
  expect(files.size).toBe(0);
  await saveCheckpoint(files, saved);
  await expect(openCheckpoint(files, { abort: 1 } as never)).rejects.toThrow(
    'openCheckpoint: options must have only the fields signal, fetch, got "abort"',
  );
  await expect(fromUrl("http://localhost/x", { headers: {} } as never)).rejects.toThrow(
    'fromUrl: options must have only the fields signal, fetch, got "headers"',
  );
  const file = await openSafetensors(
    fromBytes(new Uint8Array(await files.get("model.safetensors")!.arrayBuffer())),
  );
  await expect(file.read("a", { dtype: "f32" } as never)).rejects.toThrow(
    'bytes: tensor "a": options must have only the fields as, got "dtype"',
  );
  expect((await file.read("a", { as: "f32" })).values).toEqual(Float32Array.of(1));
});
