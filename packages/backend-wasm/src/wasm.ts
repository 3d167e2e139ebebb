import type { AnyKernel, BackendStarter, StartedBackend } from "@heddle/core";
import { HeddleError, checkFields, checkInteger, checkKernels, checkOneOf, reject } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import { activationWasm } from "./activation.ts";
import { adamwWasm } from "./adamw.ts";
import { attentionMapsWasm } from "./attention-maps.ts";
import { attentionWasm } from "./attention.ts";
import { cacheWriteWasm } from "./cache-write.ts";
import { calibrate } from "./calibrate.ts";
import { chooseTokenWasm } from "./choose-token.ts";
import { crossEntropyWasm } from "./cross-entropy.ts";
import { embeddingWasm } from "./embedding.ts";
import { mergeHeadsWasm, splitHeadsWasm } from "./heads.ts";
import { supportedInstructions } from "./instruction-set.ts";
import type { InstructionSet } from "./instruction-set.ts";
import { linearWasm, panels } from "./linear.ts";
import { matmulWasm } from "./matmul.ts";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { installMachine, uninstallMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { dropoutWasm } from "./dropout.ts";
import { autoThreads, startPool } from "./pool.ts";
import type { Pool, WorkerSource } from "./pool.ts";
import { residualWasm } from "./residual.ts";
import { rotaryWasm } from "./rotary.ts";
import { sliceWasm, transposeWasm } from "./shape.ts";
import { shareClones } from "./share-clones.ts";
import { sharingRefused } from "./shared-memory.ts";
import { loadEngine } from "./tfjs-engine.ts";
import type { WasmSource } from "./tfjs-engine.ts";

export type { NodeWorker } from "./builtin.ts";
export type { PoolWorker } from "./pool-worker.ts";
export type { WorkerSource } from "./pool.ts";
export type { WasmSource } from "./tfjs-engine.ts";

/** Far more than any machine's cores are of use. */
const GREATEST_THREADS = 64;

/** What `wasm` takes. */
export interface WasmOptions {
  /** Kernels for the operations, tried before those of this package and the reference, in this order. @default [] */
  readonly kernels?: readonly AnyKernel[];
  /**
   * `tfjs-backend-wasm-simd.wasm` of `@tensorflow/tfjs-backend-wasm`: its bytes, or where it is, the file or the folder
   * that holds it. A compiled module runs on one thread, since its memory cannot be shared any more. A page has to
   * say it, since bundlers move the file: in Vite,
   * `import simd from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url"`.
   * @default beside tfjs's own code
   */
  readonly wasm?: WasmSource;
  /**
   * Instructions of our kernels: `relaxed` has fused multiply-add, `plain` works in all engines.
   * @default "auto", the best that the engine knows
   */
  readonly simd?: "auto" | InstructionSet;
  /**
   * Code of twice the width, which Node 24 and later can make, if it is the fastest and gives the same bits; with
   * `true` the first kernel throws where it cannot. It is made when that kernel runs, in about a fifth of a second.
   * @default "auto"
   */
  readonly wide?: "auto" | boolean;
  /**
   * Threads, this one among them. Results do not depend on their number. Where memory cannot be shared with workers,
   * as in a page that is not cross-origin isolated, it is one.
   * @default "auto", one for each core, up to 8
   */
  readonly threads?: "auto" | number;
  /**
   * The file `@heddle/backend-wasm/worker`, or a function that starts a worker from it, for a page whose content
   * security policy forbids workers from blobs; in Vite,
   * `import worker from "@heddle/backend-wasm/worker?worker&url"`.
   * @default the same code from a blob
   */
  readonly worker?: WorkerSource;
}

/** One for each operation that has its own. */
const own: readonly AnyKernel[] = [
  activationWasm,
  adamwWasm,
  attentionWasm,
  attentionMapsWasm,
  cacheWriteWasm,
  chooseTokenWasm,
  crossEntropyWasm,
  dropoutWasm,
  embeddingWasm,
  layerNormWasm,
  linearWasm,
  matmulWasm,
  mergeHeadsWasm,
  residualWasm,
  rmsNormWasm,
  rotaryWasm,
  sliceWasm,
  splitHeadsWasm,
  transposeWasm,
];

/** What the machine turned out to be, for people. */
function describe({ instructions, threads, choice }: Machine, oneBecause?: string): string {
  const simd = instructions === "relaxed" ? "relaxed SIMD" : "SIMD";
  const count = threads === 1 ? `1 thread${oneBecause ? ` (${oneBecause})` : ""}` : `${threads} threads`;
  const known = `WebAssembly ${simd}, ${count}`;
  if (!choice) return known;
  const { tile, wide, narrowBecause } = choice;
  const width = wide ? "256 bits wide" : `128 bits wide (${narrowBecause})`;
  return `${known}, tile ${tile.rows}x${tile.columns}, ${width}`;
}

/** tfjs's engine with workers on its memory, or alone, for a reason. */
interface Threaded {
  readonly engine: BackendWasm;
  readonly pool?: Pool;
  readonly oneBecause?: string;
}

async function loadThreaded({ wasm, threads = "auto", worker }: WasmOptions): Promise<Threaded> {
  const wanted = threads === "auto" ? autoThreads() : threads;
  if (wanted === 1) return { engine: await loadEngine({ wasm, shared: false }) };
  let oneBecause = sharingRefused();
  if (wasm instanceof WebAssembly.Module)
    oneBecause ??= "the option wasm is a compiled module, whose memory cannot be made shared: give its bytes";
  let pool: Pool | undefined;
  if (oneBecause === undefined)
    try {
      pool = await startPool(wanted, worker);
      return { engine: await loadEngine({ wasm, shared: true }), pool };
    } catch (error) {
      pool?.stop();
      oneBecause = error instanceof Error ? error.message : String(error);
    }
  return { engine: await loadEngine({ wasm, shared: false }), oneBecause };
}

async function start(options: WasmOptions): Promise<StartedBackend> {
  const { kernels = [], simd = "auto", wide = "auto" } = options;
  if (typeof WebAssembly === "undefined")
    throw new HeddleError("unsupported", "WebAssembly must be there, got an engine without it");
  const supported = supportedInstructions();
  if (supported === undefined)
    throw new HeddleError("unsupported", "WebAssembly must have SIMD, got an engine without it");
  if (simd === "relaxed" && supported !== "relaxed")
    throw new HeddleError("unsupported", "simd relaxed must be known to the engine, got one without it");
  const { engine, pool, oneBecause } = await loadThreaded(options);
  shareClones();
  const instructions = simd === "auto" ? supported : simd;
  const machine = await installMachine(engine, { instructions, wide, calibrate, pool }).catch(
    (error: unknown) => {
      pool?.stop();
      engine.dispose();
      throw error;
    },
  );
  return {
    engine,
    kernels: [...kernels, ...own],
    packing: panels,
    get description() {
      return describe(machine, oneBecause);
    },
    memory: () => ({
      heap: machine.memory.buffer.byteLength,
      packed: machine.packed,
      scratch: machine.scratch,
    }),
    stop() {
      uninstallMachine(engine);
      pool?.stop();
    },
  };
}

/**
 * WebAssembly with SIMD, on all cores that there are, in Node, pages and workers. A page gives threads to those that
 * are cross-origin isolated; otherwise the backend runs on one, and `description` says why.
 * @throws HeddleError `invalid-argument` for options of the wrong type.
 */
export function wasm(options: WasmOptions = {}): BackendStarter {
  checkFields("wasm: options", options, ["kernels", "wasm", "simd", "wide", "threads", "worker"]);
  const { kernels = [], wasm: source, simd = "auto", wide = "auto", threads = "auto", worker } = options;
  checkKernels("wasm: kernels", kernels);
  checkOneOf("wasm: simd", simd, ["auto", "plain", "relaxed"]);
  checkOneOf("wasm: wide", wide, ["auto", true, false]);
  if (threads !== "auto") checkInteger("wasm: threads", threads, { min: 1, max: GREATEST_THREADS });
  if (source !== undefined && !isPlace(source) && !isBinary(source))
    reject("wasm: wasm", "be a URL, a path that is not empty, bytes or a WebAssembly.Module", source);
  if (worker !== undefined && !isPlace(worker) && typeof worker !== "function")
    reject("wasm: worker", "be a URL, a path that is not empty, or a function that starts a worker", worker);
  return { name: "wasm", start: () => start(options) };
}

const isPlace = (value: unknown): boolean =>
  value instanceof URL || (typeof value === "string" && value !== "");

function isBinary(value: unknown): boolean {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return true;
  return typeof WebAssembly !== "undefined" && value instanceof WebAssembly.Module;
}
