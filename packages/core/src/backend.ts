/** Starting and stopping the one place where tensors live and operations run: a tfjs backend with Heddle's kernels. */
import * as tf from "@tensorflow/tfjs-core";
import type { KernelBackend } from "@tensorflow/tfjs-core";
import { HeddleError, reject, show } from "./errors.ts";
import { installKernels } from "./kernel.ts";
import type { AnyKernel } from "./kernel.ts";
import type { HalfForms, Packing } from "./packing.ts";
import { loseValues, restoreValues } from "./recovery.ts";

/** What is held in memory. */
export interface MemoryUse {
  /** Live tensors of this realm, all backends together. */
  readonly tensors: number;
  /** Their bytes. */
  readonly bytes: number;
  /** Bytes of the heap that the backend's tensors are in, with what is free in it; it grows and never shrinks. */
  readonly heap?: number;
  /** Bytes of weights in the layout of the backend's kernels: a part of `bytes`. */
  readonly packed?: number;
  /** Bytes that the kernels hold besides tensors. */
  readonly scratch?: number;
}

/** What a starter hands over: a tfjs backend that is ready to compute, not yet registered. */
export interface StartedBackend {
  readonly engine: KernelBackend;
  /** What it runs on, for people: `"WebAssembly SIMD, 1 thread"`. It may come to know more. */
  readonly description: string;
  readonly kernels: readonly AnyKernel[];
  /** In which layout its kernels want the weights of `linear`. @default as they are stored */
  readonly packing?: Packing;
  /**
   * How its kernels read matrices in 16-bit storage: the weights of `linear`, and the tables of `embedding`.
   * @default not at all; they are widened at each use
   */
  readonly halves?: HalfForms;
  /** What it knows of its own memory. */
  memory?(): Pick<MemoryUse, "heap" | "packed" | "scratch">;
  /** Throws the first thing that went wrong on the device since the last call. */
  checkErrors?(): void;
  /** Whether the device is gone for good, and all that was on it. @default false */
  readonly lost?: boolean;
  /** Resolves when the device has done all that was queued. */
  finish?(): Promise<void>;
  /** Gives back what `start` took besides the tfjs backend. Called twice where a lost device cannot be started again. */
  stop?(): void | Promise<void>;
}

/** One way to start a backend: `cpu()`, `wasm()`, `webgpu()`, or a plugin's own. */
export interface BackendStarter {
  /** Name under which tfjs and the kernels know the backend. */
  readonly name: string;
  /** Throws the reason when it cannot work here, after giving back whatever it took. Called again after a loss. */
  start(): Promise<StartedBackend>;
}

/** Why a starter was passed over. */
export interface RefusedBackend {
  readonly name: string;
  readonly reason: string;
}

/** A running backend. */
export interface Backend {
  /** `"cpu"`, `"wasm"`, `"webgpu"`, or the name of a plugin's starter. */
  readonly name: string;
  /** What it runs on, for people. */
  readonly description: string;
  /** The starters tried before it, with their reasons. */
  readonly refused: readonly RefusedBackend[];
  readonly kernels: readonly AnyKernel[];
  /** In which layout its kernels want the weights of `linear`. */
  readonly packing?: Packing;
  /** How its kernels read matrices in 16-bit storage. */
  readonly halves?: HalfForms;
  /** What is held now, by kind. */
  memory(): MemoryUse;
  /**
   * Devices report errors late, and their results are wrong silently: this throws the first one known so far.
   * @throws HeddleError `unsupported` for a command that the device refused, `invalid-state` for a lost device.
   */
  checkErrors(): void;
  /**
   * Resolves when everything queued so far is done.
   * @throws HeddleError As `checkErrors` does.
   */
  finish(): Promise<void>;
  /**
   * After the device was lost: starts the backend anew and brings back the weights that were on it, first values from
   * their seed, those of a loaded model from where it was loaded. Weights that changed since then, and every other
   * tensor, are gone: using them throws. Does nothing where all is well; call it again when it failed.
   * @throws HeddleError `invalid-state` when another backend is active, or this one disposed; why the device cannot
   * start, or a model cannot be read again.
   */
  recover(): Promise<void>;
  /**
   * Stops the backend: kernels, tfjs registration and device. Tensors left on it can be disposed, not read. The
   * backend started before it, if it still runs, becomes the active one.
   * @throws HeddleError An error of the device that was not reported yet, after everything is stopped.
   */
  dispose(): Promise<void>;
}

/** Running backends in the order of their start; the last one is active. */
const running: Backend[] = [];

let lastTurn: Promise<unknown> = Promise.resolve();

/** Starts and stops happen one after the other: tfjs has one active backend a realm. */
function inTurn<T>(task: () => Promise<T>): Promise<T> {
  const turn = lastTurn.then(task);
  lastTurn = turn.catch(() => undefined);
  return turn;
}

/** The backend that was started last and still runs. */
export function activeBackend(): Backend | undefined {
  return running.at(-1);
}

/**
 * Says that a backend is missing, before tfjs does in words that do not tell how to get one.
 * @throws HeddleError `invalid-state` when no backend runs.
 */
export function requireBackend(where: string): void {
  if (running.length > 0 || tf.engine().backendNames().length > 0) return;
  throw new HeddleError(
    "invalid-state",
    `${where} must run on a backend, started by await startBackend(wasm()) for example, got none`,
  );
}

/**
 * Starts the first backend that works here and makes it the active one:
 * `await startBackend(webgpu(), wasm())`; `backend.refused` says why the others did not.
 *
 * @throws HeddleError `unsupported` with every reason when none works; `invalid-state` when a backend of the same name
 * runs already.
 */
export function startBackend(...starters: readonly BackendStarter[]): Promise<Backend> {
  return inTurn(async () => {
    if (starters.length === 0)
      reject("startBackend: starters", "hold at least one, for example cpu()", starters);
    const refused: RefusedBackend[] = [];
    const causes: unknown[] = [];
    for (const starter of starters) {
      checkFree(starter.name);
      const known = new Set(tf.engine().backendNames());
      let started: StartedBackend | undefined;
      try {
        started = await starter.start();
        return await register(starter, started, [...refused]);
      } catch (error) {
        // Importing a tfjs backend registers its factory, which tfjs would start by itself at the next tensor.
        for (const name of tf.engine().backendNames()) if (!known.has(name)) tf.removeBackend(name);
        await started?.stop?.();
        refused.push({ name: starter.name, reason: reasonOf(error) });
        causes.push(error);
      }
    }
    const reasons = refused.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
    throw new HeddleError("unsupported", `startBackend: no backend can run here. ${reasons}`, {
      cause: causes.length === 1 ? causes[0] : causes,
    });
  });
}

function reasonOf(error: unknown): string {
  if (typeof error === "object" && error !== null && "message" in error) return String(error.message);
  return show(error);
}

function checkFree(name: string): void {
  if (running.some((backend) => backend.name === name))
    throw new HeddleError(
      "invalid-state",
      `startBackend: "${name}" must be disposed before it is started again`,
    );
  if (tf.engine().registry[name])
    throw new HeddleError(
      "invalid-state",
      `startBackend: "${name}" must not run in tfjs already; start it before the first tensor, and only here`,
    );
}

/** Makes an engine the active one and installs its kernels; gives what takes these out again. */
async function activate(name: string, { engine, kernels }: StartedBackend): Promise<() => void> {
  const before = running.at(-1);
  if (tf.findBackendFactory(name)) tf.removeBackend(name);
  tf.registerBackend(name, () => engine);
  try {
    await tf.setBackend(name);
  } catch (error) {
    tf.removeBackend(name);
    if (before && before.name !== name) await tf.setBackend(before.name);
    throw error;
  }
  return installKernels(name, kernels);
}

async function register(
  starter: BackendStarter,
  first: StartedBackend,
  refused: readonly RefusedBackend[],
): Promise<Backend> {
  const { name } = starter;
  let started = first;
  let uninstall = await activate(name, started);
  let stopping: Promise<void> | undefined;
  const backend: Backend = {
    name,
    get description() {
      return started.description;
    },
    refused,
    get kernels() {
      return started.kernels;
    },
    get packing() {
      return started.packing;
    },
    get halves() {
      return started.halves;
    },
    memory() {
      // Not tf.memory(), which starts a backend when none runs.
      const { numTensors, numBytes } = tf.engine().state;
      return { tensors: numTensors, bytes: numBytes, ...started.memory?.() };
    },
    checkErrors: () => started.checkErrors?.(),
    async finish() {
      await started.finish?.();
      started.checkErrors?.();
    },
    recover: () => inTurn(recover),
    dispose: () => (stopping ??= inTurn(stop)),
  };
  async function recover(): Promise<void> {
    if (!running.includes(backend))
      throw new HeddleError("invalid-state", `${name}: recover must be called before dispose`);
    if (started.lost) await restart();
    await restoreValues();
  }
  async function restart(): Promise<void> {
    const active = activeBackend();
    if (active !== backend)
      reject(`${name}: recover`, "be called on the active backend", active?.name, "invalid-state");
    const { engine } = started;
    await started.stop?.();
    retire(engine, "made again, since the device that held it was lost");
    // Where this fails the lost engine stays, and recover can be called again.
    const next = await starter.start();
    uninstall();
    tf.removeBackend(name);
    const { tensorInfo } = tf.engine().state;
    loseValues(({ dataId }) => tensorInfo.get(dataId)?.backend === engine);
    started = next;
    uninstall = await activate(name, next);
  }
  async function stop(): Promise<void> {
    const { engine } = started;
    uninstall();
    running.splice(running.indexOf(backend), 1);
    const active = tf.getBackend() === name;
    tf.removeBackend(name);
    retire(engine, `read before its backend "${name}" is disposed, got a read after`);
    const next = running.at(-1);
    if (active && next) await tf.setBackend(next.name);
    try {
      started.checkErrors?.();
    } finally {
      await started.stop?.();
    }
  }
  running.push(backend);
  return backend;
}

/** Lets tensors that outlive their engine be disposed without touching its memory, and refuses to read them. */
function retire(engine: KernelBackend, rule: string): void {
  const gone = (): never => {
    throw new HeddleError("invalid-state", `tensor: must be ${rule}`);
  };
  // Tensors that share memory are let go of one by one: tfjs forgets the memory's backend with the last.
  const holders = new WeakMap<object, number>();
  engine.disposeData = (dataId) => {
    const left = (holders.get(dataId) ?? engine.refCount(dataId)) - 1;
    holders.set(dataId, left);
    return left <= 0;
  };
  engine.readSync = gone;
  engine.read = async () => gone();
}
