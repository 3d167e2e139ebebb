/** packages/backend-wasm/kernels/probe.c, compiled and run on a memory of its own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile, variants } from "../wasm-kernels/compile.ts";

const KERNELS = join(import.meta.dirname, "../../packages/backend-wasm/kernels");
const PAGE = 65536;

/** What the stream reads: eight times a large last cache. */
const STREAM_BYTES = 256 * 2 ** 20;
/** Units of the chains of multiply and add: some tens of milliseconds. */
const PEAK_UNITS = 4096;

/** Addresses in the memory: the task, what it writes, what it reads. */
const [TASK, RESULT, DATA] = [0, 1024, PAGE];

/** What the stream's exclusive or of all bytes comes to. */
const MARKS = [0x1234, 0, 0, 0x5678] as const;

/** A measurement to repeat. */
export interface Probe {
  /** @throws Error when it did not compute what it should. */
  run(): void;
  /** Operations or bytes of a run. */
  readonly amount: number;
}

export interface Probes {
  /** The variant of the kernels that the engine takes. */
  readonly instructions: string;
  /** Independent chains of fused multiply-add, or of multiply and add: floating-point operations. */
  readonly peak: Probe;
  /** Reading memory in order, once: bytes. */
  readonly stream: Probe;
}

type Exported = `${"peak" | "stream"}${"" | "_units"}` | "peak_operations" | "stream_bytes";

/** Compiles for the best instructions that the engine has: the last of the variants that it takes. */
async function compileBest(): Promise<{ readonly name: string; readonly binary: Uint8Array<ArrayBuffer> }> {
  const read = (file: string): string => readFileSync(join(KERNELS, file), "utf8");
  const sources = { "kernels.c": read("probe.c"), "simd.h": read("simd.h") };
  for (const variant of variants.toReversed()) {
    const binary = await compile(sources, variant);
    if (WebAssembly.validate(binary)) return { name: variant.name, binary };
  }
  throw new Error("WebAssembly must have SIMD, got an engine without it");
}

/** Compiles the probes, which takes some seconds, and fills what they read. */
export async function openProbes(): Promise<Probes> {
  const { name, binary } = await compileBest();
  const memory = new WebAssembly.Memory({ initial: (DATA + STREAM_BYTES) / PAGE, maximum: 2 ** 32 / PAGE });
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const env = { memory, __indirect_function_table: table };
  const { instance } = await WebAssembly.instantiate(binary, { env });
  const exports = instance.exports as Record<Exported, (...words: number[]) => number>;
  const words = new Int32Array(memory.buffer);
  const floats = new Float32Array(memory.buffer);
  // Pages that nobody has written are all one page. Exclusive or of these is 0, but for the marks at both ends.
  for (let at = DATA / 4; at < words.length; at++) words[at] = at;
  words[DATA / 4]! ^= MARKS[0];
  words[words.length - 1]! ^= MARKS[3];
  const setTask = (task: readonly number[]): void => words.set(task, TASK / 4);
  return {
    instructions: name,
    peak: {
      amount: PEAK_UNITS * exports.peak_operations(),
      run() {
        floats.fill(0, RESULT / 4, RESULT / 4 + 4);
        setTask([RESULT, PEAK_UNITS]);
        // Halves and adds a half: goes to 1, far from denormals.
        floats.set([0.5, 0.5], TASK / 4 + 2);
        exports.peak(TASK, 0, exports.peak_units(TASK), 0);
        if (floats[RESULT / 4] !== 1) throw new Error(`peak must end at 1, got ${floats[RESULT / 4]}`);
      },
    },
    stream: {
      amount: STREAM_BYTES,
      run() {
        setTask([DATA, STREAM_BYTES / exports.stream_bytes(), RESULT]);
        exports.stream(TASK, 0, exports.stream_units(TASK), 0);
        const mixed = words.subarray(RESULT / 4, RESULT / 4 + 4);
        if (mixed.some((word, i) => word !== MARKS[i]))
          throw new Error(`stream must have read ${MARKS}, got ${mixed}`);
      },
    },
  };
}
