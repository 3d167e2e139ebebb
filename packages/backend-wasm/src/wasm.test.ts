import { activeBackend, startBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { wasm } from "./wasm.ts";

const binary = createRequire(import.meta.url).resolve(
  "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm",
);

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
      description: expect.stringMatching(/^WebAssembly (relaxed )?SIMD, 1 thread$/),
      refused: [],
    });
    expect(tf.getBackend()).toBe("wasm");
    expect(await product()).toEqual([11]);
    expect(backend.memory()).toEqual({ tensors: 0, bytes: 0 });
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
  ])("loads from %s", async (_, place) => {
    await startBackend(wasm({ wasm: place }));
    expect(await product()).toEqual([11]);
  });

  it("refuses an engine without SIMD, and the next starter is taken", async () => {
    await (await startBackend(wasm())).dispose();
    tf.env().set("WASM_HAS_SIMD_SUPPORT", false);
    const backend = await startBackend(wasm(), idle);
    tf.env().set("WASM_HAS_SIMD_SUPPORT", true);
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
    expect(() => wasm({ threads: 2 } as object)).toThrow(
      'wasm: options must have only the fields kernels, wasm, simd, wide, got "threads"',
    );
  });

  it("refuses a place that is none", () => {
    // @ts-expect-error A number is no place.
    expect(() => wasm({ wasm: 7 })).toThrow("wasm: wasm must be a URL or a path that is not empty, got 7");
    expect(() => wasm({ wasm: "" })).toThrow('wasm: wasm must be a URL or a path that is not empty, got ""');
  });

  it("leaves nothing behind: no registration, no listener on the process, no tensor", async () => {
    const listeners = () =>
      ["uncaughtException", "unhandledRejection"].map((event) => process.listenerCount(event));
    const [before, names] = [listeners(), tf.engine().backendNames()];
    const backend = await startBackend(wasm());
    expect(listeners()).toEqual(before);
    const left = tf.tensor1d([1]);
    await backend.dispose();
    expect(listeners()).toEqual(before);
    expect(tf.engine().backendNames()).toEqual(names);
    left.dispose();
    expect(backend.memory().tensors).toBe(0);
  });
});
