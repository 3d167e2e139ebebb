import { activeBackend, createWeights, startBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { machine } from "./machine.ts";
import { wasm } from "./wasm.ts";

const binary = createRequire(import.meta.url).resolve(
  "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm",
);

function partOfShared(bytes: Uint8Array): Uint8Array {
  const part = new Uint8Array(new SharedArrayBuffer(bytes.length + 16), 8, bytes.length);
  part.set(bytes);
  return part;
}

/** Starts everywhere and computes nothing. */
const idle: BackendStarter = {
  name: "idle",
  start: async () => ({
    engine: Object.assign(new tf.KernelBackend(), { dispose: () => undefined }),
    description: "idle",
    kernels: [],
  }),
};

async function product(): Promise<number[]> {
  const result = tf.tidy(() => tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])));
  const values = [...(await result.data())];
  result.dispose();
  return values;
}

afterEach(async () => {
  while (activeBackend()) await activeBackend()!.dispose();
  vi.restoreAllMocks();
});

describe("wasm", () => {
  it("finds its binary in Node and multiplies", async () => {
    const backend = await startBackend(wasm());
    expect(backend).toMatchObject({
      name: "wasm",
      description: expect.stringMatching(/^WebAssembly (relaxed )?SIMD, \d+ threads?$/),
      refused: [],
    });
    expect(tf.getBackend()).toBe("wasm");
    expect(await product()).toEqual([11]);
    const { heap, ...rest } = backend.memory();
    expect(rest).toMatchObject({ tensors: 0, bytes: 0, packed: 0 });
    expect(heap! % 2 ** 16).toBe(0);
  });

  it("tells what weights and kernels take of the heap", async () => {
    const backend = await startBackend(wasm({ threads: 1 }));
    const weights = createWeights({ seed: 1 });
    const layer = weights.linear("a", { in: 40, out: 20 });
    const x = tf.ones([3, 40]);
    const { scratch: before } = backend.memory();
    tf.dispose(layer(x));
    const { packed, scratch, bytes } = backend.memory();
    // Columns come in whole panels.
    const { columns } = machine().tile;
    expect(packed).toBe(4 * 40 * columns * Math.ceil(20 / columns));
    expect(bytes).toBe(packed! + 4 * (120 + 20));
    expect(scratch).toBeGreaterThan(before!);
    const address = machine().allocate(1000);
    expect(backend.memory().scratch).toBe(scratch! + 1000);
    machine().free(address);
    expect(backend.memory().scratch).toBe(scratch);
    weights.dispose();
    expect(backend.memory().packed).toBe(0);
    x.dispose();
  });

  it("says where it looked, prints nothing, and starts after a failed start", async () => {
    const warn = vi.spyOn(console, "warn");
    const error = await startBackend(wasm({ wasm: "/nowhere" })).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(
        /^startBackend: no backend can run here\. wasm: tfjs-backend-wasm-simd\.wasm must load from \/nowhere\/tfjs-backend-wasm-simd\.wasm, got: .*ENOENT/,
      ),
    });
    expect(warn).not.toHaveBeenCalled();
    expect(tf.engine().backendNames()).not.toContain("wasm");
    await startBackend(wasm());
    expect(await product()).toEqual([11]);
  });

  it.each([
    ["a folder", binary.slice(0, binary.lastIndexOf("/"))],
    ["a file", binary],
    ["a URL", pathToFileURL(binary)],
    ["its text", pathToFileURL(binary).href],
    ["bytes", readFileSync(binary)],
    ["a part of shared bytes", partOfShared(readFileSync(binary))],
    ["a buffer", new Uint8Array(readFileSync(binary)).buffer],
  ])("loads from %s", async (_, source) => {
    const backend = await startBackend(wasm({ wasm: source, threads: 2 }));
    expect(backend.description).toContain("2 threads");
    expect(await product()).toEqual([11]);
  });

  it("loads from a compiled module, whose memory cannot be shared", async () => {
    const module = await WebAssembly.compile(readFileSync(binary));
    const backend = await startBackend(wasm({ wasm: module, threads: 2 }));
    expect(backend.description).toContain("1 thread (the option wasm is a compiled module, whose memory");
    expect(await product()).toEqual([11]);
  });

  it("refuses a binary of tfjs whose memory is not what it was, and starts after it", async () => {
    const bytes = new Uint8Array(readFileSync(binary));
    // The memory section: its number, size and count, then limits with a minimum and a maximum of three bytes.
    const section = [5, 7, 1, 1, 128, 2, 128, 128, 4];
    const at = bytes.findIndex((_, i) => section.every((byte, j) => bytes[i + j] === byte));
    expect(at).toBeGreaterThan(0);
    const unlimited = Uint8Array.of(5, 4, 1, 0, 128, 2);
    const other = Buffer.concat([bytes.subarray(0, at), unlimited, bytes.subarray(at + section.length)]);
    await expect(startBackend(wasm({ wasm: other, threads: 2 }))).rejects.toThrow(
      /wasm: WebAssembly\.instantiate\(\): .*memory.* has no maximum limit/,
    );
    await startBackend(wasm());
    expect(await product()).toEqual([11]);
  });

  it("refuses a module that is not tfjs's", async () => {
    const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    for (const source of [empty, new WebAssembly.Module(empty)])
      await expect(startBackend(wasm({ wasm: source, threads: 2 }))).rejects.toThrow(
        "tfjs-backend-wasm-simd.wasm must load from the option wasm, got: a module that is not tfjs's",
      );
  });

  it("refuses an engine without SIMD, and the next starter is taken", async () => {
    await (await startBackend(wasm())).dispose();
    vi.spyOn(WebAssembly, "validate").mockReturnValue(false);
    const backend = await startBackend(wasm(), idle);
    expect(backend.name).toBe("idle");
    expect(backend.refused).toEqual([
      { name: "wasm", reason: "WebAssembly must have SIMD, got an engine without it" },
    ]);
  });

  it("refuses an engine without WebAssembly", async () => {
    vi.stubGlobal("WebAssembly", undefined);
    await expect(startBackend(wasm())).rejects.toThrow("wasm: WebAssembly must be there");
    vi.unstubAllGlobals();
  });

  it("refuses an option that it does not have", () => {
    expect(() => wasm({ thread: 2 } as object)).toThrow(
      'wasm: options must have only the fields kernels, wasm, simd, wide, threads, worker, got "thread"',
    );
  });

  it("refuses options that are none", () => {
    const rule = "wasm: wasm must be a URL, a path that is not empty, bytes or a WebAssembly.Module";
    expect(() => wasm({ wasm: 7 })).toThrow(`${rule}, got 7`);
    expect(() => wasm({ wasm: "" })).toThrow(`${rule}, got ""`);
    // @ts-expect-error One kernel is no list.
    expect(() => wasm({ kernels: {} })).toThrow("wasm: kernels must be a list");
    // @ts-expect-error Nothing is no kernel.
    expect(() => wasm({ kernels: [null] })).toThrow("wasm: kernels[0] must be made by kernel(…), got null");
    const half = { name: "linear.mine", backend: "wasm", operation: "linear" };
    // @ts-expect-error A kernel computes something.
    expect(() => wasm({ kernels: [half] })).toThrow("wasm: kernels[0] must be made by kernel(…), got {");
    // @ts-expect-error A number is no worker.
    expect(() => wasm({ worker: 7 })).toThrow("wasm: worker must be a URL, a path that is not empty, or a");
    for (const threads of [0, 1.5, 65, NaN])
      expect(() => wasm({ threads })).toThrow("wasm: threads must be an integer from 1 to 64");
  });

  it("leaves nothing behind: no registration, no listener on the process, no tensor", async () => {
    const listeners = () =>
      ["uncaughtException", "unhandledRejection"].map((event) => process.listenerCount(event));
    const [before, names] = [listeners(), tf.engine().backendNames()];
    // What the program itself listens to, before or meanwhile, stays.
    const own = (): void => undefined;
    process.on("uncaughtException", own);
    const { compile } = WebAssembly;
    vi.spyOn(WebAssembly, "compile").mockImplementation((bytes) => {
      process.on("unhandledRejection", own);
      return compile(bytes);
    });
    const backend = await startBackend(wasm());
    expect(process.listeners("unhandledRejection")).toContain(own);
    process.off("unhandledRejection", own);
    expect(process.listeners("uncaughtException")).toContain(own);
    process.off("uncaughtException", own);
    expect(listeners()).toEqual(before);
    const left = tf.tensor1d([1]);
    await backend.dispose();
    expect(listeners()).toEqual(before);
    expect(tf.engine().backendNames()).toEqual(names);
    left.dispose();
    expect(backend.memory().tensors).toBe(0);
  });
});
