import type { AnyKernel, BackendStarter, StartedBackend } from "@heddle/core";
import { HeddleError, checkFields, checkOneOf, reject } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { KernelBackend } from "@tensorflow/tfjs-core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import { activationWasm } from "./activation.ts";
import { adamwWasm } from "./adamw.ts";
import { attentionWasm } from "./attention.ts";
import { cacheWriteWasm } from "./cache-write.ts";
import { calibrate } from "./calibrate.ts";
import { crossEntropyWasm } from "./cross-entropy.ts";
import { embeddingWasm } from "./embedding.ts";
import { supportedInstructions } from "./instruction-set.ts";
import type { InstructionSet } from "./instruction-set.ts";
import { linearWasm, panels } from "./linear.ts";
import { loadQuietly } from "./load-quietly.ts";
import { matmulWasm } from "./matmul.ts";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { installMachine, uninstallMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { dropoutWasm } from "./dropout.ts";
import { residualWasm } from "./residual.ts";
import { rotaryWasm } from "./rotary.ts";
import { sliceWasm, transposeWasm } from "./shape.ts";
import { shareClones } from "./share-clones.ts";

/** What `wasm` takes. */
export interface WasmOptions {
  /** Kernels for the operations, tried before those of this package and the reference, in this order. @default [] */
  readonly kernels?: readonly AnyKernel[];
  /**
   * Where `tfjs-backend-wasm-simd.wasm` of `@tensorflow/tfjs-backend-wasm` is: the file, or the folder that holds it.
   * A page has to say it, since bundlers move the file: in Vite,
   * `import simd from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url"`.
   * @default beside tfjs's own code
   */
  readonly wasm?: string | URL;
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
}

/** One for each operation that has its own. */
const own: readonly AnyKernel[] = [
  activationWasm,
  adamwWasm,
  attentionWasm,
  cacheWriteWasm,
  crossEntropyWasm,
  dropoutWasm,
  embeddingWasm,
  layerNormWasm,
  linearWasm,
  matmulWasm,
  residualWasm,
  rmsNormWasm,
  rotaryWasm,
  sliceWasm,
  transposeWasm,
];

const BINARY = "tfjs-backend-wasm-simd.wasm";

/** tfjs keeps this object and reads it at each start, whereas its setter refuses to run after one failed start. */
const locations: Record<string, string> = {
  "tfjs-backend-wasm.wasm": BINARY,
  [BINARY]: BINARY,
  "tfjs-backend-wasm-threaded-simd.wasm": BINARY,
};

/** tfjs registers its factory when it is first imported, and `startBackend` takes it out of the registry. */
let factory: (() => KernelBackend | Promise<KernelBackend>) | undefined;

async function loadFactory(): Promise<() => KernelBackend | Promise<KernelBackend>> {
  if (factory) return factory;
  const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
  setWasmPaths(locations);
  factory = tf.findBackendFactory("wasm");
  if (!factory)
    throw new HeddleError(
      "invalid-state",
      "wasm: tfjs-backend-wasm must share one copy of tfjs-core with Heddle, got two",
    );
  return factory;
}

function locate(wasm: string | URL): string {
  const where = String(wasm);
  if (/\.wasm(?:[?#]|$)/.test(where)) return where;
  return `${where}${where.endsWith("/") ? "" : "/"}${BINARY}`;
}

/** What the machine turned out to be, for people. */
function describe({ instructions, choice }: Machine): string {
  const simd = instructions === "relaxed" ? "relaxed SIMD" : "SIMD";
  if (!choice) return `WebAssembly ${simd}, 1 thread`;
  const { tile, wide, narrowBecause } = choice;
  const width = wide ? "256 bits wide" : `128 bits wide (${narrowBecause})`;
  return `WebAssembly ${simd}, 1 thread, tile ${tile.rows}x${tile.columns}, ${width}`;
}

async function start(options: WasmOptions): Promise<StartedBackend> {
  const { kernels = [], wasm, simd = "auto", wide = "auto" } = options;
  if (typeof WebAssembly === "undefined")
    throw new HeddleError("unsupported", "WebAssembly must be there, got an engine without it");
  const create = await loadFactory();
  if (!(await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")))
    throw new HeddleError("unsupported", "WebAssembly must have SIMD, got an engine without it");
  const supported = supportedInstructions();
  if (simd === "relaxed" && supported !== "relaxed")
    throw new HeddleError("unsupported", "simd relaxed must be known to the engine, got one without it");
  // Its threaded build breaks when minified, and needs blob workers.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (wasm === undefined) delete locations[BINARY];
  else locations[BINARY] = locate(wasm);
  let engine: BackendWasm;
  try {
    engine = (await loadQuietly(async () => create())) as BackendWasm;
  } catch (error) {
    const place = locations[BINARY] ?? "the default place";
    const why = error instanceof Error ? error.message : String(error);
    throw new HeddleError(
      "unsupported",
      `${BINARY} must load from ${place}, got: ${why}. The option wasm says where it is`,
      {
        cause: error,
      },
    );
  }
  shareClones();
  const instructions = simd === "auto" ? supported : simd;
  const machine = await installMachine(engine, { instructions, wide, calibrate }).catch((error: unknown) => {
    engine.dispose();
    throw error;
  });
  return {
    engine,
    kernels: [...kernels, ...own],
    packing: panels,
    get description() {
      return describe(machine);
    },
    stop: () => uninstallMachine(engine),
  };
}

/**
 * WebAssembly with SIMD on one thread, in Node, pages and workers.
 * @throws HeddleError `invalid-argument` for options of the wrong type.
 */
export function wasm(options: WasmOptions = {}): BackendStarter {
  checkFields("wasm: options", options, ["kernels", "wasm", "simd", "wide"]);
  const { wasm: place, simd = "auto", wide = "auto" } = options;
  checkOneOf("wasm: simd", simd, ["auto", "plain", "relaxed"]);
  checkOneOf("wasm: wide", wide, ["auto", true, false]);
  if (place !== undefined && !(place instanceof URL) && (typeof place !== "string" || place === ""))
    reject("wasm: wasm", "be a URL or a path that is not empty", place);
  return { name: "wasm", start: () => start(options) };
}
