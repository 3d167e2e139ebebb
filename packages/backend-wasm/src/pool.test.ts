import { attention, causal, softCap } from "@heddle/attention";
import { wasmVariants } from "@heddle/conformance";
import { activeBackend, differentiate, linear, randomStream, startBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { execFileSync } from "node:child_process";
import { writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import { machine } from "./machine.ts";
import { places } from "./pool-worker.ts";
import { startPool } from "./pool.ts";
import type { Pool } from "./pool.ts";
import { sampleInputs, sampleResults } from "./samples.ts";
import { wasm } from "./wasm.ts";

const magic = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** A module that imports a shared memory and exports `f` and `f_units`, of which `f` is the given code. */
function moduleOf(code: readonly number[]): WebAssembly.Module {
  const text = (word: string): number[] => [word.length, ...Buffer.from(word)];
  const section = (id: number, ...body: number[]): number[] => [id, body.length, ...body];
  return new WebAssembly.Module(
    Uint8Array.from([
      ...magic,
      ...section(1, 1, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 0),
      ...section(2, 1, ...text("env"), ...text("memory"), 2, 3, 1, 1),
      ...section(3, 1, 0),
      ...section(7, 1, ...text("f"), 0, 0),
      ...section(10, 1, code.length + 2, 0, ...code, 0x0b),
    ]),
  );
}

/** i32.atomic.rmw.add at 4 begin, of end - begin, then at the scratch's address, of 1. */
const counting = moduleOf(
  [
    [0x20, 1, 0x41, 2, 0x74, 0x20, 2, 0x20, 1, 0x6b, 0xfe, 0x1e, 2, 0, 0x1a],
    [0x20, 3, 0x41, 1, 0xfe, 0x1e, 2, 0, 0x1a],
  ].flat(),
);
const trapping = moduleOf([0x00]);

const pools: Pool[] = [];

/** A pool on a memory of one page, and that memory. */
async function pool(
  threads: number,
): Promise<{ pool: Pool; memory: Int32Array; f(module: WebAssembly.Module): Call }> {
  const started = await startPool(threads);
  pools.push(started);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  started.join(memory);
  return {
    pool: started,
    memory: new Int32Array(memory.buffer),
    f(module) {
      started.load({ kind: "kernels", module, names: ["f"] });
      const { exports } = new WebAssembly.Instance(module, { env: { memory } });
      return exports["f"] as Call;
    },
  };
}

type Call = (task: number, begin: number, end: number, scratch: number) => void;

const instructionSets = [...new Set(wasmVariants.map(({ simd }) => simd!))];

/** Why a test that starts Node on a source is skipped. */
const NO_TYPESCRIPT = "this Node does not run TypeScript";

/** Until something holds; what is waited for must come. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** The caller's part of a job in which a worker is to take part too, on a busy machine. */
function leaveTime(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
  for (const started of pools.splice(0)) started.stop();
  vi.restoreAllMocks();
});

describe("pool", () => {
  it("does each unit once, with a scratch for each thread, while workers sleep, wake and spin", async () => {
    const { pool: three, memory, f } = await pool(3);
    const call = f(counting);
    const [scratch, scratchBytes] = [60_000, 64];
    const tookPart = (thread: number): number => memory[(scratch + thread * scratchBytes) / 4]!;
    const round = (units: number): void => {
      memory.fill(0, 0, 10_000);
      const job = { kernel: 0, task: 0, units, scratch, scratchBytes };
      three.run(job, (begin, end) => call(0, begin, end, scratch));
      // Each piece is written where it begins, and the next begins where it ends.
      let at = 0;
      while (at < units && memory[at]! > 0) at += memory[at]!;
      expect(at).toBe(units);
      expect(memory.subarray(0, 10_000).reduce((sum, count) => sum + count, 0)).toBe(units);
    };
    for (let times = 0; times < 400; times++) for (const units of [1, 2, 3, 7, 100, 1000, 9999]) round(units);
    // Workers that have not been seen come when they have read their messages.
    await until(() => {
      for (let i = 0; i < 50; i++) round(9999);
      return tookPart(1) > 0 && tookPart(2) > 0;
    });
    // Long enough that they sleep.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const before = tookPart(1) + tookPart(2);
    await until(() => {
      round(9999);
      return tookPart(1) + tookPart(2) > before;
    });
  });

  it("throws what a kernel threw on a worker, and goes on", async () => {
    const { pool: two, f } = await pool(2);
    f(trapping);
    const job = { kernel: 0, task: 0, units: 1000, scratch: 0, scratchBytes: 0 };
    const failing = (): void => two.run(job, leaveTime);
    let error: unknown;
    // The caller may have done all units before the worker took one.
    await until(() => {
      try {
        failing();
        return false;
      } catch (thrown) {
        error = thrown;
        return true;
      }
    });
    expect(error).toMatchObject({
      code: "invalid-state",
      message: "wasm: kernel must end on every thread, got: unreachable",
    });
    // A worker that has not read its messages takes no units.
    f(counting);
    const done: number[] = [];
    two.run(job, (begin, end) => void done.push(end - begin));
    expect(done.reduce((sum, count) => sum + count, 0)).toBe(1000);
  });

  it("does not throw in a job what was thrown in the one before, on the caller and on a worker", async () => {
    const { pool: two, memory, f } = await pool(2);
    // As counting, but a trap follows.
    const call = f(moduleOf([0x20, 3, 0x41, 1, 0xfe, 0x1e, 2, 0, 0x1a, 0x00]));
    const job = { kernel: 0, task: 0, units: 1000, scratch: 0, scratchBytes: 64 };
    const both = (): void =>
      two.run(job, (begin, end) => {
        leaveTime();
        call(0, begin, end, 0);
      });
    await until(() => {
      expect(both).toThrow("unreachable");
      return memory[16]! > 0;
    });
    f(counting);
    expect(() => two.run(job, () => undefined)).not.toThrow();
  });

  it("throws what the caller's part threw, after the workers are out", async () => {
    const { pool: two, f } = await pool(2);
    f(counting);
    const job = { kernel: 0, task: 0, units: 10_000, scratch: 60_000, scratchBytes: 64 };
    const fail = (): void => {
      throw new RangeError("here");
    };
    // The worker may have taken all units before the caller took one.
    await until(() => {
      try {
        two.run(job, fail);
        return false;
      } catch (error) {
        expect(error).toEqual(new RangeError("here"));
        return true;
      }
    });
  });

  it("tells why a worker did not start, and leaves none", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-pool-"));
    try {
      const write = (name: string, code: string): string => {
        writeFileSync(join(folder, name), code);
        return join(folder, name);
      };
      const stranger = write(
        "stranger.mjs",
        `import { parentPort } from "node:worker_threads"; parentPort.postMessage("hello");`,
      );
      await expect(startPool(3, stranger)).rejects.toThrow(
        "a worker did not start: it is not the worker of this version of Heddle",
      );
      const failing = write("failing.mjs", `throw new Error("no");`);
      await expect(startPool(2, failing)).rejects.toThrow("a worker did not start: no");
      await expect(startPool(2, join(folder, "missing.mjs"))).rejects.toThrow(
        "a worker did not start: Cannot find",
      );
      await expect(
        startPool(2, () => {
          throw new Error("none here");
        }),
      ).rejects.toThrow("a worker did not start: none here");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("waits ten seconds for a worker that does not come, and ends one that comes later", async () => {
    vi.useFakeTimers();
    try {
      let come: (worker: Worker) => void;
      const coming = new Promise<Worker>((resolve) => (come = resolve));
      const started = expect(startPool(2, () => coming)).rejects.toThrow(
        "a worker did not start: it said nothing in 10 s",
      );
      await vi.advanceTimersByTimeAsync(9_999);
      expect(vi.getTimerCount()).toBe(1);
      await vi.advanceTimersByTimeAsync(1);
      await started;
      const silent = new Worker("setInterval(() => {}, 1000)", { eval: true });
      const ended = new Promise((resolve) => silent.once("exit", resolve));
      come!(silent);
      await ended;
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("wasm with threads", () => {
  /** The samples' results, one list of bits for each. */
  function bits(): string[] {
    const { calls, dispose } = sampleInputs();
    const results = tf.tidy(() => sampleResults(calls));
    const found = results.map((tensor) =>
      Buffer.from(tensor.dataSync<"float32">().slice().buffer).toString("hex"),
    );
    tf.dispose(results);
    dispose();
    return found;
  }

  it.each(instructionSets)("gives the same bits with any number of them, %s", async (simd) => {
    const found: string[][] = [];
    for (const threads of [1, 2, 3, 5]) {
      const backend = await startBackend(wasm({ threads, simd, wide: false }));
      expect(backend.description).toContain(`${threads} thread`);
      expect(machine().sharedMemory).toBe(threads > 1);
      for (let i = 0; i < 20; i++) {
        const now = bits();
        if (i === 0) found.push(now);
        else expect(now).toEqual(found.at(-1));
        // Workers read their messages meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      expect(backend.memory().tensors).toBe(0);
      await backend.dispose();
    }
    for (const other of found.slice(1)) expect(other).toEqual(found[0]);
  });

  it("runs modules that are linked later on every thread", async () => {
    const draw = (path: string): tf.Tensor =>
      tf.tensor(randomStream({ seed: 1, path }).normals(2 * 6 * 90 * 16), [2, 6, 90, 16]);
    const found: number[][][] = [];
    for (const threads of [1, 3]) {
      const backend = await startBackend(wasm({ threads, wide: false }));
      const [q, k, v] = [draw("q"), draw("k"), draw("v")];
      const results: number[][] = [];
      for (const cap of [1, 2, 3])
        for (let i = 0; i < 10; i++) {
          const call = { q, k, v, pattern: causal(), modifiers: [softCap({ cap })] };
          const { value, gradients } = differentiate(() => attention(call), [q, k, v]);
          results.push([value, ...gradients].flatMap((tensor) => [...tensor!.dataSync()]));
          tf.dispose([value, ...gradients.map((gradient) => gradient!)]);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      found.push(results);
      tf.dispose([q, k, v]);
      expect(backend.memory().tensors).toBe(0);
      await backend.dispose();
    }
    expect(found[1]).toEqual(found[0]);
  });

  it("starts the worker's file, and a worker that the caller makes", async ({ skip }) => {
    skip(!process.features.typescript, NO_TYPESCRIPT);
    const file = new URL("./worker.ts", import.meta.url);
    for (const worker of [file, file.href, () => new Worker(file)]) {
      const backend = await startBackend(wasm({ threads: 2, worker }));
      expect(backend.description).toContain("2 threads");
      await backend.dispose();
    }
  });

  it("leaves no worker behind: after a stop, a failed start, or without an engine", async ({ skip }) => {
    skip(!process.features.typescript, NO_TYPESCRIPT);
    const made: Worker[] = [];
    const make = (): Worker => {
      const worker = new Worker(new URL("./worker.ts", import.meta.url));
      made.push(worker);
      return worker;
    };
    const makeStranger = (): Worker => {
      const code = `require("node:worker_threads").parentPort.on("message", () => 0).postMessage("hello")`;
      const worker = new Worker(code, { eval: true });
      made.push(worker);
      return worker;
    };
    const ended = (): Promise<void> => until(() => made.every(({ threadId }) => threadId === -1));
    const backend = await startBackend(wasm({ threads: 3, worker: make }));
    expect(made).toHaveLength(2);
    await backend.dispose();
    await ended();
    const worker = (): Worker => (made.length % 2 === 0 ? make() : makeStranger());
    await expect(startPool(3, worker)).rejects.toThrow("it is not the worker of this version of Heddle");
    expect(made).toHaveLength(4);
    await ended();
    await expect(startBackend(wasm({ threads: 2, worker: make, wasm: "/nowhere" }))).rejects.toThrow(
      "ENOENT",
    );
    expect(made).toHaveLength(5);
    await ended();
  });

  it("runs on one thread, and says why, where there is no shared memory or no worker", async () => {
    vi.stubGlobal("crossOriginIsolated", false);
    const backend = await startBackend(wasm({ threads: 2 }));
    expect(backend.description).toContain("1 thread (the page is not cross-origin isolated)");
    expect(machine().threads).toBe(1);
    await backend.dispose();
    vi.unstubAllGlobals();
    const other = await startBackend(wasm({ threads: 2, worker: "/nowhere.mjs" }));
    expect(other.description).toMatch(/1 thread \(a worker did not start: Cannot find module/);
    // @ts-expect-error A function that gives no worker.
    await expect(startPool(2, () => undefined)).rejects.toThrow(
      "a worker did not start: the option worker must give a worker, got undefined",
    );
    const x = tf.ones([2, 2]);
    expect([...linear({ x, weight: x }).dataSync()]).toEqual([2, 2, 2, 2]);
    x.dispose();
  });

  it("does not keep a process alive", ({ skip }) => {
    skip(!process.features.typescript, NO_TYPESCRIPT);
    const program = `
      import { linear, startBackend } from "@heddle/core";
      import { wasm } from "@heddle/backend-wasm";
      import * as tf from "@tensorflow/tfjs-core";
      const backend = await startBackend(wasm({ threads: 2 }));
      const x = tf.ones([40, 40]);
      console.log(linear({ x, weight: x }).dataSync()[0], backend.description.includes("2 threads"));`;
    const printed = execFileSync(
      process.execPath,
      ["-C", "@heddle/source", "--input-type=module", "--eval", program],
      { encoding: "utf8", cwd: import.meta.dirname },
    );
    expect(printed).toBe("40 true\n");
  });

  it("has a layout of the control array in which nobody writes to another's line", () => {
    const lines = [places.turn, places.open, places.inside, places.next, places.asleep, places.version].map(
      (at) => Math.floor((4 * at) / 64),
    );
    expect(new Set(lines).size).toBe(lines.length);
    expect(places.scratchBytes).toBeLessThan(places.reason);
  });
});
