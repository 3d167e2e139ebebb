import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import {
  findCheckpoint,
  openCheckpoint,
  saveCheckpoint,
  type SaveCheckpointOptions,
  type TensorEntry,
} from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heddle-checkpoint-"));
});
afterAll(() => rm(root, { recursive: true }));

function tensor(name: string, values: readonly number[]): TensorEntry {
  return { name, dtype: "F32", shape: [values.length], values: Float32Array.from(values) };
}

/** A checkpoint whose config and every value carry the same mark. */
function marked(mark: number, more: Partial<SaveCheckpointOptions> = {}): SaveCheckpointOptions {
  return {
    config: { mark },
    tensors: [tensor("a", [mark, 1]), tensor("b", [mark, 2]), tensor("c", [mark])],
    ...more,
  };
}

/** The mark of the checkpoint in a directory; fails when its parts disagree. */
async function readMark(location: string | Map<string, Blob>): Promise<number> {
  const checkpoint = await openCheckpoint(location);
  const mark = checkpoint.config.mark as number;
  for (const name of ["a", "b", "c"]) expect((await checkpoint.read(name)).values[0]).toBe(mark);
  await checkpoint.close();
  return mark;
}

describe("saveCheckpoint and openCheckpoint", () => {
  it("keep config, tensors, metadata and files", async () => {
    const directory = join(root, "kept");
    await saveCheckpoint(directory, {
      config: { model_type: "gpt2", heddle: { attention: "causal" } },
      tensors: [
        tensor("wte", [1, 2]),
        { name: "ids", dtype: "I64", shape: [1, 1], values: BigInt64Array.of(5n) },
      ],
      files: {
        "tokenizer.json": "{}",
        "state.bin": Uint8Array.of(1),
        "optimizer.safetensors": { tensors: [tensor("m", [3])] },
      },
    });
    expect((await readdir(directory)).toSorted()).toEqual([
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "state.bin",
      "tokenizer.json",
    ]);
    const checkpoint = await openCheckpoint(pathToFileURL(`${directory}/`));
    expect(checkpoint.config).toEqual({ model_type: "gpt2", heddle: { attention: "causal" } });
    expect(checkpoint.metadata).toEqual({ format: "pt" });
    expect([...checkpoint.tensors.keys()]).toEqual(["ids", "wte"]);
    expect((await checkpoint.read("wte", { as: "f32" })).values).toEqual(Float32Array.of(1, 2));
    expect((await checkpoint.read("ids")).values).toEqual(BigInt64Array.of(5n));
    expect(await checkpoint.readText("tokenizer.json")).toBe("{}");
    expect([await checkpoint.has("state.bin"), await checkpoint.has("vocab.txt")]).toEqual([true, false]);
    const optimizer = await checkpoint.openTensors("optimizer.safetensors");
    expect((await optimizer.read("m")).values).toEqual(Float32Array.of(3));
    await optimizer.close();
    await expect(checkpoint.readText("../secret")).rejects.toThrow("must be a plain name in the directory");
    await expect(checkpoint.read("wpe")).rejects.toThrow('a tensor must be one of its names, got "wpe"');
    await checkpoint.close();
    await expect(checkpoint.read("wte")).rejects.toMatchObject({ code: "invalid-state" });
  });

  it("spread large checkpoints over shards, and remove the old weights when the number changes", async () => {
    const directory = join(root, "shards");
    await saveCheckpoint(directory, marked(1, { maxShardBytes: 12 }));
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    expect((await readdir(directory)).toSorted()).toEqual([
      "config.json",
      ...shards,
      "model.safetensors.index.json",
    ]);
    expect(JSON.parse(await readFile(join(directory, "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_size: 20 },
      weight_map: { a: shards[0], b: shards[1], c: shards[1] },
    });
    expect(await readMark(directory)).toBe(1);
    await saveCheckpoint(directory, marked(2));
    expect((await readdir(directory)).toSorted()).toEqual(["config.json", "model.safetensors"]);
    expect(await readMark(directory)).toBe(2);
  });

  it("work without a disk", async () => {
    const files = new Map<string, Blob>();
    await saveCheckpoint(files, marked(3, { maxShardBytes: 8 }));
    await saveCheckpoint(files, marked(4));
    expect([...files.keys()].toSorted()).toEqual(["config.json", "model.safetensors"]);
    expect(await readMark(files)).toBe(4);
    const failing = { ...tensor("a", [1]), values: () => Promise.reject(new Error("no values")) };
    await expect(saveCheckpoint(files, marked(5, { tensors: [failing] }))).rejects.toThrow("no values");
    expect(await readMark(files)).toBe(4);
  });

  it("read a checkpoint below a URL, by ranges", async () => {
    const files = new Map<string, Blob>();
    await saveCheckpoint(files, marked(6, { maxShardBytes: 8, files: { "tokenizer.json": "{}" } }));
    const asked: string[] = [];
    const serve: typeof fetch = async (input, init) => {
      const file = String(input).replace("https://example.org/models/tiny/", "");
      const blob = files.get(file);
      asked.push(`${file} ${blob ? 206 : 404}`);
      if (!blob) return new Response(null, { status: 404 });
      const [, from, to] = /bytes=(\d+)-(\d+)/
        .exec(new Headers(init?.headers).get("range") ?? "")!
        .map(Number);
      const end = Math.min(to! + 1, blob.size);
      const headers = { "content-range": `bytes ${from}-${end - 1}/${blob.size}` };
      return new Response(blob.slice(from, end), { status: 206, headers });
    };
    const checkpoint = await openCheckpoint("https://example.org/models/tiny/", { fetch: serve });
    expect(asked.slice(0, 3)).toEqual([
      "config.json 206",
      "model.safetensors 404",
      "model.safetensors.index.json 206",
    ]);
    expect((await checkpoint.read("b")).values).toEqual(Float32Array.of(6, 2));
    expect([await checkpoint.has("tokenizer.json"), await checkpoint.has("vocab.txt")]).toEqual([
      true,
      false,
    ]);
    await checkpoint.close();
  });

  it("never mix two checkpoints when one is opened while others are saved", async () => {
    const directory = join(root, "race");
    await saveCheckpoint(directory, marked(0));
    const progress = { saving: true };
    const saves = (async () => {
      for (let mark = 1; mark <= 25; mark++) {
        await saveCheckpoint(directory, marked(mark, { maxShardBytes: mark % 3 === 0 ? 8 : undefined }));
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
      progress.saving = false;
    })();
    const seen = new Set<number>();
    while (progress.saving) seen.add(await readMark(directory));
    await saves;
    expect(await readMark(directory)).toBe(25);
    expect(seen.size).toBeGreaterThan(2);
  });

  it("refuse what could not be read back", async () => {
    const files = new Map<string, Blob>();
    await expect(saveCheckpoint(files, marked(NaN))).rejects.toThrow(
      'config: "mark" must be a finite number, got NaN',
    );
    await expect(saveCheckpoint(files, marked(1, { files: { "config.json": "" } }))).rejects.toThrow(
      'saveCheckpoint: files must be plain names other than those of the config and the weights, got "config.json"',
    );
    await expect(saveCheckpoint(files, marked(1, { files: { "../a": "" } }))).rejects.toThrow(
      "must be plain names",
    );
    await expect(saveCheckpoint(files, marked(1, { maxShardBytes: 0 }))).rejects.toThrow(
      "must be an integer >= 1",
    );
    expect(files.size).toBe(0);
  });
});

describe("openCheckpoint", () => {
  async function opened(files: Record<string, string>): Promise<string> {
    const blobs = new Map(Object.entries(files).map(([name, text]) => [name, new Blob([text])]));
    return openCheckpoint(blobs).then(
      () => "opened",
      (error: Error) => error.message,
    );
  }
  it.each<[string, Record<string, string>, string]>([
    ["nothing", {}, "files: a checkpoint must be there, got no files"],
    ["no config", { "tokenizer.json": "{}" }, "files: config.json must be there, got no such file"],
    ["no weights", { "config.json": "{}" }, "files: model.safetensors must be there, got no such file"],
    ["a config that is a list", { "config.json": "[]" }, "files: config.json must be a JSON object"],
    [
      "a config with __proto__",
      { "config.json": '{"a":{"__proto__":{}}}' },
      'config.json must not have the key "__proto__"',
    ],
    [
      "a config with a byte order mark",
      { "config.json": "\ufeff{}" },
      "files: config.json must be JSON in UTF-8",
    ],
    [
      "an index that is empty",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{}}' },
      "weight_map must name at least one tensor",
    ],
    [
      "an index that leaves the directory",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"../a.safetensors"}}' },
      'weight_map: "a" must be the name of a .safetensors file beside the index, got "../a.safetensors"',
    ],
    [
      "an index with a path",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"b\\\\a.safetensors"}}' },
      "must be the name of a .safetensors file",
    ],
    [
      "an index to a number",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":1}}' },
      "must be the name of a .safetensors file",
    ],
    [
      "a shard that is missing",
      { "config.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"b.safetensors"}}' },
      "files: b.safetensors must be there, got no such file",
    ],
    [
      "pickled weights",
      { "config.json": "{}", "pytorch_model.bin": "x" },
      "files: the weights must be safetensors, got pytorch_model.bin, which is pickled and could run code; convert it with: python -c",
    ],
  ])("refuses %s", async (_, files, message) => {
    expect(await opened(files)).toContain(message);
  });

  it("refuses a tensor that its shard lacks, and a config that is too long", async () => {
    const files = new Map<string, Blob>();
    await saveCheckpoint(files, marked(1, { maxShardBytes: 8 }));
    const index = await files.get("model.safetensors.index.json")!.text();
    files.set("model.safetensors.index.json", new Blob([index.replace('"b"', '"d"')]));
    await expect(openCheckpoint(files)).rejects.toThrow(
      'tensor "d" must be in model-00002-of-00003.safetensors, got "a shard without it"',
    );
    files.set("config.json", new Blob([" ".repeat(2 ** 24 + 1)]));
    await expect(openCheckpoint(files)).rejects.toThrow(
      "config.json must have at most 16777216 bytes, got 16777217",
    );
  });
});

describe("findCheckpoint", () => {
  const places: readonly [string, (name: string) => Promise<string | Map<string, Blob>>][] = [
    ["a directory", async (name) => join(root, name)],
    ["a map", async () => new Map<string, Blob>()],
  ];
  it.each(places)("finds nothing in %s where nothing was saved, then what was", async (_, make) => {
    const place = await make("found");
    expect(await findCheckpoint(place)).toBeUndefined();
    await expect(openCheckpoint(place)).rejects.toMatchObject({ code: "io" });
    if (typeof place === "string") {
      // What a first save leaves when it is killed.
      await mkdir(join(place, ".heddle-saving-1"), { recursive: true });
      await writeFile(join(place, ".heddle-saving-1", "config.json"), "{");
      expect(await findCheckpoint(place)).toBeUndefined();
    }
    // What the user keeps there is no checkpoint.
    for (const file of ["run.log", "notes.json", "model.safetensors.txt"])
      if (typeof place === "string") await writeFile(join(place, file), "mine");
      else place.set(file, new Blob(["mine"]));
    expect(await findCheckpoint(place)).toBeUndefined();
    await expect(openCheckpoint(place)).rejects.toMatchObject({ code: "invalid-data" });
    await saveCheckpoint(place, marked(3));
    const checkpoint = await findCheckpoint(place);
    expect(checkpoint?.config).toEqual({ mark: 3 });
    await checkpoint?.close();
  });

  it.each(["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"])(
    "refuses a checkpoint that lost its %s",
    async (file) => {
      const directory = join(root, `lost-${file}`);
      await saveCheckpoint(directory, marked(1, { maxShardBytes: 8 }));
      await rm(join(directory, file));
      await expect(findCheckpoint(directory)).rejects.toMatchObject({
        code: "invalid-data",
        message: `${directory}: ${file.replace(".index.json", "")} must be there, got no such file`,
      });
    },
  );

  it.each([
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-00001-of-00003.safetensors",
    "pytorch_model.bin",
    ".heddle-commit",
    "state.json",
  ])("refuses a directory of whose checkpoint only %s is left", async (file) => {
    const directory = join(root, `only-${file}`);
    await mkdir(directory);
    await writeFile(join(directory, "run.log"), "mine");
    if (file.startsWith(".")) await mkdir(join(directory, file));
    else await writeFile(join(directory, file), "{}");
    await expect(findCheckpoint(directory, { beside: ["state.json"] })).rejects.toMatchObject({
      code: "invalid-data",
      message: expect.stringContaining(directory),
    });
  });

  it("leaves to the caller what else tells of a checkpoint", async () => {
    const files = new Map([["state.json", new Blob(["{}"])]]);
    expect(await findCheckpoint(files)).toBeUndefined();
    await expect(findCheckpoint(files, { beside: ["state.json"] })).rejects.toMatchObject({
      code: "invalid-data",
      message: "files: config.json must be there, got no such file",
    });
    await expect(findCheckpoint(files, { besides: [] } as never)).rejects.toThrow(
      'findCheckpoint: options must have only the fields signal, fetch, beside, got "besides"',
    );
  });

  it("refuses a file where a directory should be", async () => {
    await writeFile(join(root, "plain"), "");
    await expect(findCheckpoint(join(root, "plain"))).rejects.toMatchObject({ code: "io" });
  });
});

describe("a save that fails", () => {
  it("on a full disk leaves the old checkpoint and nothing else", async () => {
    const directory = join(root, "full");
    await saveCheckpoint(directory, marked(1));
    // A process that may write at most 64 blocks a file meets what a full disk gives: a write that fails half-way.
    const script = `
      import { saveCheckpoint } from "@heddle/checkpoints";
      const tensors = [{ name: "a", dtype: "F32", shape: [100000], values: new Float32Array(100000) }];
      await saveCheckpoint(process.argv[1], { config: { mark: 2 }, tensors }).catch((error) => console.log(error.code, error.message));`;
    const { stdout, stderr } = spawnSync(
      "sh",
      [
        "-c",
        `trap '' XFSZ; ulimit -f 64; exec "$0" -C @heddle/source --input-type=module -e "$1" "$2"`,
        process.execPath,
        script,
        directory,
      ],
      { encoding: "utf8", cwd: fileURLToPath(new URL(".", import.meta.url)) },
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(
      /^io .*full\/\.heddle-saving-.*model\.safetensors: writing must succeed, got EFBIG/,
    );
    expect(await readdir(directory)).toEqual(["config.json", "model.safetensors"]);
    expect(await readMark(directory)).toBe(1);
  });

  it("makes the folders above, and ends where none can be made", async () => {
    const config = { model_type: "x" };
    const deep = join(root, "a", "b", "c");
    await saveCheckpoint(deep, { config, tensors: [] });
    const opened = await openCheckpoint(deep);
    expect(opened.config).toEqual(config);
    await opened.close();
    // Node's own recursion never ends there.
    if (process.platform === "linux")
      await expect(saveCheckpoint("/proc/heddle/x", { config, tensors: [] })).rejects.toMatchObject({
        code: "io",
      });
  });

  it("names a directory that cannot be made", async () => {
    await writeFile(join(root, "a-file"), "");
    const directory = join(root, "a-file", "below");
    await expect(saveCheckpoint(directory, marked(1))).rejects.toMatchObject({
      code: "io",
      cause: { code: "ENOTDIR" },
    });
    await expect(saveCheckpoint(directory, marked(1))).rejects.toThrow(
      `${directory}: saving must succeed, got ENOTDIR`,
    );
  });

  it("refuses a second save into the directory while one runs, and works again after it", async () => {
    const directory = join(root, "twice");
    const first = saveCheckpoint(directory, marked(1));
    for (const again of [directory, `${root}/./twice/`])
      await expect(saveCheckpoint(again, marked(2))).rejects.toMatchObject({ code: "invalid-state" });
    await first;
    await saveCheckpoint(directory, marked(3));
    expect(await readMark(directory)).toBe(3);
  });

  it("refuses a second save while the files of the first move into place", async () => {
    const directory = join(root, "moving");
    const files = process.getBuiltinModule("node:fs/promises");
    const { rename } = files;
    let second: Promise<void> | undefined;
    const moves = vi.spyOn(files, "rename").mockImplementation((from, to) => {
      if (to === join(directory, "model.safetensors")) {
        second ??= saveCheckpoint(directory, marked(2));
        second.catch(() => undefined);
      }
      return rename(from, to);
    });
    await saveCheckpoint(directory, marked(1)).finally(() => moves.mockRestore());
    await expect(second).rejects.toMatchObject({ code: "invalid-state" });
    expect(await readMark(directory)).toBe(1);
  });

  it("removes what a killed save left", async () => {
    const directory = join(root, "left");
    await mkdir(join(directory, ".heddle-saving-dead"), { recursive: true });
    await writeFile(join(directory, ".heddle-saving-dead", "model.safetensors"), "half");
    await saveCheckpoint(directory, marked(1));
    expect((await readdir(directory)).toSorted()).toEqual(["config.json", "model.safetensors"]);
  });
});
