/** tfjs's WASM backend, in a memory that may be shared. */
import { HeddleError } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { builtin } from "./builtin.ts";
import { withSharedMemory } from "./shared-memory.ts";

/** tfjs's binary, or where it is: the file, or the folder that holds it. */
export type WasmSource = string | URL | BufferSource | WebAssembly.Module;

/** The binary with SIMD, and without tfjs's own threads. */
const BINARY = "tfjs-backend-wasm-simd.wasm";

/** What Emscripten made of tfjs's C++, as far as it is used here. */
interface Loaded {
  cwrap(name: string, result: "number" | null, parameters: readonly "number"[]): unknown;
  tfjs?: object;
}

interface LoaderOptions {
  locateFile(name: string, folder: string): string;
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): object;
}

type Loader = (options: LoaderOptions) => Promise<Loaded>;

const EVENTS = ["uncaughtException", "unhandledRejection"] as const;

type Listener = (...values: unknown[]) => void;

/** The part of Node's `process` used here. */
interface Process {
  listeners(event: string): Listener[];
  removeListener(event: string, listener: Listener): void;
}

/** The loader hangs listeners on Node's process at once, which turn every later rejection into a dump of its source. */
function withoutListeners<T>(load: () => T): T {
  const { process } = globalThis as { process?: Partial<Process> };
  const before = EVENTS.map((event) => process?.listeners?.(event) ?? []);
  try {
    return load();
  } finally {
    EVENTS.forEach((event, i) => {
      for (const listener of process?.listeners?.(event) ?? [])
        if (!before[i]!.includes(listener)) process?.removeListener?.(event, listener);
    });
  }
}

async function bytesOf(place: string): Promise<Uint8Array<ArrayBuffer>> {
  const files = builtin("node:fs/promises");
  if (files && !/^(?:https?|data|blob):/.test(place))
    return new Uint8Array(await files.readFile(place.startsWith("file:") ? new URL(place) : place));
  const response = await fetch(place, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The file that a place names. */
function fileOf(place: string | URL): string {
  const where = String(place);
  if (/\.wasm(?:[?#]|$)/.test(where) || /^(?:data|blob):/.test(where)) return where;
  return `${where}${where.endsWith("/") ? "" : "/"}${BINARY}`;
}

/** Compiles and starts the binary, and says where it is from when that fails. */
async function startBinary(
  { wasm: source, shared }: EngineOptions,
  folder: string,
  start: (module: WebAssembly.Module) => Promise<void>,
): Promise<void> {
  const isPlace = source === undefined || typeof source === "string" || source instanceof URL;
  const place = isPlace ? fileOf(source ?? folder) : "the option wasm";
  try {
    if (source instanceof WebAssembly.Module) return await start(source);
    const bytes = isPlace ? await bytesOf(place) : copied(source);
    await start(await WebAssembly.compile(shared ? withSharedMemory(bytes) : bytes));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HeddleError(
      "unsupported",
      `${BINARY} must load from ${place}, got: ${why}. The option wasm says where it is`,
      { cause: error },
    );
  }
}

function copied(source: BufferSource): Uint8Array<ArrayBuffer> {
  return ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice()
    : new Uint8Array(source.slice(0));
}

/** How the engine is loaded. */
export interface EngineOptions {
  /** @default beside tfjs's own code */
  readonly wasm?: WasmSource | undefined;
  /** Whether threads share its memory, which a compiled module cannot be made to do. */
  readonly shared: boolean;
}

/**
 * Loads tfjs's engine, which the caller registers.
 * @throws HeddleError `unsupported` when its binary cannot be had, `invalid-state` for a second copy of tfjs-core.
 */
export async function loadEngine(options: EngineOptions): Promise<BackendWasm> {
  const { BackendWasm: Engine } = await import("@tensorflow/tfjs-backend-wasm");
  if (tf.getKernelsForBackend("wasm").length === 0)
    throw new HeddleError(
      "invalid-state",
      "wasm: tfjs-backend-wasm must share one copy of tfjs-core with Heddle, got two",
    );
  // Bundlers and Node disagree on what the default of a CommonJS module is.
  const imported: { readonly default: unknown } =
    await import("@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.js");
  const { default: load } = (typeof imported.default === "function" ? imported : imported.default) as {
    readonly default: Loader;
  };
  const loaded = await withoutListeners(
    () =>
      new Promise<Loaded>((resolve, reject) => {
        let folder = "";
        load({
          locateFile: (name, where) => (folder = where) + name,
          instantiateWasm(imports, receive) {
            startBinary(options, folder, async (module) => {
              const instance = await WebAssembly.instantiate(module, imports);
              if (!("register_tensor" in instance.exports)) throw new Error("a module that is not tfjs's");
              receive(instance, module);
            }).catch(reject);
            return {};
          },
        }).then(resolve, reject);
      }),
  );
  const wrap = (name: string, parameters = 0, result: "number" | null = null): unknown =>
    loaded.cwrap(name, result, Array<"number">(parameters).fill("number"));
  // As tfjs does after its own start, from which this one differs in the memory.
  loaded.tfjs = {
    init: wrap("init"),
    initWithThreadsCount: wrap("init_with_threads_count", 1),
    getThreadsCount: wrap("get_threads_count", 0, "number"),
    registerTensor: wrap("register_tensor", 3),
    disposeData: wrap("dispose_data", 1),
    dispose: wrap("dispose"),
  };
  return new Engine(loaded as ConstructorParameters<typeof Engine>[0]);
}
