import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import {
  openCheckpoint,
  openSafetensors,
  fromFile,
  saveCheckpoint,
  toFile,
  writeSafetensors,
} from "./index.ts";
import type { NodeFiles } from "./node-files.ts";

let root: string;
beforeAll(async () => {
  root = await fs.mkdtemp(join(tmpdir(), "heddle-crash-"));
});
afterAll(() => fs.rm(root, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** `crash`: this step and all after it fail, as if the process had died. `once`: this step fails, later ones work. */
type Fault = "crash" | "once";

/** Runs `work` with the disk failing at a step, a write half-way; says how many steps were begun. */
async function withFault(
  fault: Fault,
  step: number,
  work: () => Promise<void>,
): Promise<{ steps: number; failed: boolean }> {
  let steps = 0;
  const fails = (): boolean => (++steps > step && fault === "crash") || steps === step + 1;
  const error = (): Error => Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });

  function faulty<T extends object>(target: T, names: readonly string[]): T {
    return new Proxy(target, {
      get(object, key) {
        const value: unknown = Reflect.get(object, key);
        if (typeof value !== "function") return value;
        if (!names.includes(String(key))) return value.bind(object);
        return async (...values: unknown[]) => {
          if (fails()) {
            if (key === "write")
              await value.call(object, values[0], values[1], Math.floor(Number(values[2]) / 2));
            if (key === "close") await value.call(object);
            throw error();
          }
          const result: unknown = await value.apply(object, values);
          return key === "open" ? faulty(result as object, ["write", "sync", "close"]) : result;
        };
      },
    });
  }

  const disk = faulty<NodeFiles>(fs, ["open", "mkdir", "readdir", "rename", "rm", "stat"]);
  const real = process.getBuiltinModule;
  const spy = vi
    .spyOn(process, "getBuiltinModule")
    .mockImplementation(((id: string) => (id === "node:fs/promises" ? disk : real(id))) as typeof real);
  try {
    await work();
    return { steps, failed: false };
  } catch (caught) {
    expect(caught).toMatchObject({ name: "HeddleError", code: "io" });
    return { steps, failed: true };
  } finally {
    spy.mockRestore();
  }
}

function save(directory: string, mark: number, maxShardBytes?: number): Promise<void> {
  const tensors = ["a", "b"].map((name) => ({
    name,
    dtype: "F32" as const,
    shape: [2],
    values: Float32Array.of(mark, mark),
  }));
  return saveCheckpoint(directory, {
    config: { mark },
    tensors,
    files: { "state.json": `${mark}` },
    maxShardBytes,
  });
}

/** The mark that every part of the current checkpoint carries. */
async function readMark(directory: string): Promise<number> {
  const checkpoint = await openCheckpoint(directory);
  const marks = [Number(checkpoint.config.mark), Number(await checkpoint.readText("state.json"))];
  expect([...checkpoint.tensors.keys()]).toEqual(["a", "b"]);
  for (const name of ["a", "b"]) marks.push(...(await checkpoint.read(name, { as: "f32" })).values);
  await checkpoint.close();
  expect(new Set(marks).size).toBe(1);
  return marks[0]!;
}

/** What a reader sees that knows only config.json and model.safetensors: marks, or null for a file that is missing. */
async function plainMarks(directory: string): Promise<(number | null)[]> {
  const config = await fs.readFile(join(directory, "config.json"), "utf8").catch(() => null);
  const weights = await fromFile(join(directory, "model.safetensors"))
    .then(openSafetensors)
    .catch(() => null);
  const mark = weights && Number((await weights.read("a")).values[0]);
  await weights?.close();
  return [config === null ? null : (JSON.parse(config) as { mark: number }).mark, mark];
}

describe("saveCheckpoint", () => {
  it.each<[Fault, number | undefined, number | undefined]>([
    ["crash", undefined, undefined],
    ["crash", 8, undefined],
    ["crash", undefined, 8],
    ["once", undefined, undefined],
    ["once", 8, undefined],
  ])(
    "at a %s at any step leaves one whole checkpoint (old shards of %s, new of %s)",
    async (fault, old, next) => {
      let committed = false;
      for (let step = 0; ; step++) {
        const directory = join(root, `${fault}-${old}-${next}-${step}`);
        await save(directory, 1, old);
        const { failed } = await withFault(fault, step, () => save(directory, 2, next));
        const mark = await readMark(directory);
        if (!failed) expect(mark).toBe(2);
        // One step commits: no earlier step leaves the new checkpoint, no later one the old.
        expect(mark).toBe(committed || mark === 2 ? 2 : 1);
        committed = mark === 2;
        const [config, weights] = await plainMarks(directory);
        if (config !== null && weights !== null) expect(config).toBe(weights);
        if (fault === "once" && !committed)
          expect((await fs.readdir(directory)).filter((file) => file.startsWith("."))).toEqual([]);

        // What the failure left does not disturb the next save.
        await save(directory, 3);
        expect(await readMark(directory)).toBe(3);
        expect((await fs.readdir(directory)).toSorted()).toEqual([
          "config.json",
          "model.safetensors",
          "state.json",
        ]);
        if (!failed) {
          expect(step).toBeGreaterThan(25);
          break;
        }
      }
      expect(committed).toBe(true);
    },
  );

  it("finishes an interrupted commit although the disk crashes again and again", async () => {
    const directory = join(root, "again");
    await save(directory, 1);
    // Leave a commit whose files have not moved: the first step that makes the new checkpoint current.
    for (let step = 0; (await readMark(directory)) === 1; step++)
      await withFault("crash", step, () => save(directory, 2));
    for (let step = 0; step < 12; step++) {
      await withFault("crash", step, () => save(directory, 3));
      expect(await readMark(directory)).toBe(2);
    }
  });
});

describe("toFile", () => {
  it("refuses a folder and a device, which a rename would replace", async () => {
    await expect(toFile(root)).rejects.toThrow(
      `toFile: path must name a file, got ${root}, a folder or a device`,
    );
    if (process.platform === "linux") await expect(toFile("/dev/null")).rejects.toThrow("must name a file");
  });

  it.each<Fault>(["crash", "once"])(
    "at a %s at any step leaves the old file or the new one",
    async (fault) => {
      for (let step = 0; ; step++) {
        const folder = join(root, `file-${fault}-${step}`);
        await fs.mkdir(folder);
        const path = join(folder, "a.safetensors");
        const write = async (mark: number): Promise<void> =>
          writeSafetensors(await toFile(path), [
            { name: "a", dtype: "U8", shape: [1], values: Uint8Array.of(mark) },
          ]);
        await write(1);
        const { failed } = await withFault(fault, step, () => write(2));
        const file = await openSafetensors(await fromFile(path));
        const mark = (await file.read("a")).values[0];
        await file.close();
        expect([1, 2]).toContain(mark);
        if (fault === "once") expect(await fs.readdir(folder)).toEqual(["a.safetensors"]);
        if (!failed) {
          expect(mark).toBe(2);
          expect(step).toBeGreaterThan(5);
          break;
        }
      }
    },
  );
});
