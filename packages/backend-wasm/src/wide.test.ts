import { wasmVariants } from "@heddle/conformance";
import { activeBackend, createWeights, startBackend } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { attentionWasm } from "./attention.ts";
import { calibrate } from "./calibrate.ts";
import { kernelBinary } from "./instruction-set.ts";
import { installMachine, machine } from "./machine.ts";
import { sampleInputs, sampleResults } from "./samples.ts";
import { wasm } from "./wasm.ts";
import { widened } from "./wide.ts";

const isNarrow = !wasmVariants.some(({ wide }) => wide);
const NARROW = "this engine has no wide code";

afterEach(async () => {
  vi.restoreAllMocks();
  while (activeBackend()) await activeBackend()!.dispose();
});

/** The samples' results, one list of bits for each. */
function bits(): number[][] {
  const { calls, dispose } = sampleInputs();
  const results = tf.tidy(() => sampleResults(calls));
  const found = results.map((tensor) => [...new Uint32Array(tensor.dataSync<"float32">().slice().buffer)]);
  tf.dispose(results);
  dispose();
  return found;
}

describe("wide", () => {
  it("gives the bits of every other tile, and says what it is once it has computed", async ({ skip }) => {
    skip(isNarrow, NARROW);
    const found: number[][][] = [];
    for (const wide of [false, true]) {
      const backend = await startBackend(wasm({ simd: "relaxed", wide, threads: 1 }));
      expect(backend.description).toBe("WebAssembly relaxed SIMD, 1 thread");
      found.push(bits());
      expect(backend.description).toMatch(
        wide
          ? /^WebAssembly relaxed SIMD, 1 thread, tile 6x16, 256 bits wide$/
          : /^WebAssembly relaxed SIMD, 1 thread, tile [46]x8, 128 bits wide \(not asked for\)$/,
      );
      expect(backend.memory().tensors).toBe(0);
      await backend.dispose();
    }
    expect(found[1]).toEqual(found[0]);
  });

  it("is chosen inside the first layer that runs, and frees what it tried", async () => {
    const backend = await startBackend(wasm());
    const weights = createWeights({ seed: 1 });
    const layer = weights.linear("a", { in: 8, out: 8 });
    const x = tf.ones([2, 8]);
    const y = tf.tidy(() => layer(x));
    expect(machine().choice?.tile.rows).toBeGreaterThanOrEqual(4);
    tf.dispose([x, y]);
    weights.dispose();
    expect(backend.memory().tensors).toBe(0);
  });

  it("is compared in a step of decoding too, where keys are scored one by one", async () => {
    await startBackend(wasm({ threads: 1, wide: false }));
    const forward = vi.spyOn(attentionWasm, "forward");
    bits();
    const ways = forward.mock.calls.map(([{ q }, { differentiating }]) => [q.shape[2], differentiating]);
    expect(ways).toContainEqual([1, false]);
    expect(ways).toContainEqual([1, true]);
  });

  it("is off where its bits are others", async ({ skip }) => {
    skip(isNarrow, NARROW);
    await startBackend(wasm({ threads: 1 }));
    // Without fused multiply-add the wide code rounds twice.
    const binary = await kernelBinary("plain");
    await installMachine(tf.backend() as BackendWasm, {
      instructions: "relaxed",
      wide: "auto",
      calibrate: (input) => calibrate({ ...input, binary }),
    });
    bits();
    expect(machine().choice).toMatchObject({
      wide: false,
      narrowBecause: "its results differ from those of 128-bit code",
    });
  });

  it("is chosen while the clock stands still, as in a test with timers of its own", async () => {
    const backend = await startBackend(wasm({ threads: 1 }));
    vi.spyOn(performance, "now").mockReturnValue(0);
    bits();
    expect(backend.description).toContain(", tile ");
  });

  it("is off with a reason where nobody can set V8's flags, and refused when it was asked for", async () => {
    const backend = await startBackend(wasm());
    const get = vi.spyOn(process, "getBuiltinModule").mockReturnValue(undefined);
    bits();
    expect(backend.description).toContain("128 bits wide (only Node lets a program set V8's flags)");
    await backend.dispose();
    get.mockRestore();
    await startBackend(wasm({ wide: true }));
    vi.spyOn(process, "getBuiltinModule").mockReturnValue(undefined);
    expect(() => bits()).toThrow(
      "wasm: wide must be possible here, got a reason: only Node lets a program set V8's flags",
    );
  });

  it("sets no flag in an engine that does not know it", () => {
    const { versions } = process;
    vi.spyOn(process, "versions", "get").mockReturnValue({ ...versions, v8: "12.4.254.21-node.33" });
    const asked = vi.spyOn(process, "getBuiltinModule");
    expect(() => widened(new Uint8Array(), {}, () => undefined)).toThrow("Node 24 is the first that can");
    expect(asked).toHaveBeenCalled();
  });

  it("leaves the flag as it was when the warm-up throws", ({ skip }) => {
    skip(isNarrow, NARROW);
    const flags: string[] = [];
    const v8 = { setFlagsFromString: (flag: string) => void flags.push(flag) };
    vi.spyOn(process, "getBuiltinModule").mockReturnValue(v8);
    const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    expect(() =>
      widened(empty, {}, () => {
        throw new Error("no");
      }),
    ).toThrow("no");
    expect(flags).toEqual(["--experimental-wasm-revectorize", "--no-experimental-wasm-revectorize"]);
  });

  it("refuses options that are none", () => {
    // @ts-expect-error No such instructions.
    expect(() => wasm({ simd: "avx" })).toThrow(
      'wasm: simd must be one of "auto", "plain", "relaxed", got "avx"',
    );
    // @ts-expect-error No such choice.
    expect(() => wasm({ wide: 1 })).toThrow('wasm: wide must be one of "auto", true, false, got 1');
  });
});
