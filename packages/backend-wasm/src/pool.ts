/** Threads that share out the units of a kernel's task. */
import { HeddleError, show } from "@heddle/core";
import { builtin } from "./builtin.ts";
import { places, workForPool } from "./pool-worker.ts";
import type { PoolMessage, PoolWorker } from "./pool-worker.ts";

/** The file of a worker, `@heddle/backend-wasm/worker`, or a function that starts it. */
export type WorkerSource = string | URL | (() => PoolWorker | Promise<PoolWorker>);

/** A task to share out. */
export interface Job {
  /** Number of the kernel among the names that were loaded. */
  readonly kernel: number;
  readonly task: number;
  readonly units: number;
  /** Scratch of the caller; that of the workers follows it. */
  readonly scratch: number;
  readonly scratchBytes: number;
}

/** Does units of the job itself. */
type Work = (begin: number, end: number) => void;

/** Workers, and the caller with them. */
export interface Pool {
  readonly threads: number;
  /** Lets the workers into a memory; before that they do nothing. */
  join(memory: WebAssembly.Memory): void;
  /** Has each worker instantiate a module; one that has not done so yet takes no units, and nobody waits for it. */
  load(message: Exclude<PoolMessage, { kind: "join" }>): void;
  /** Returns when all units are done. @throws What a kernel threw, here or on a worker. */
  run(job: Job, work: Work): void;
  stop(): void;
}

/** Looks at the turn before a worker sleeps, about a millisecond: longer than a pass has pauses between kernels. */
const SPINS = 300_000;
/** Looks at who is in before the caller sleeps, where it may. */
const CALLER_SPINS = 20_000;
/** Pieces for each thread: enough that none waits long for the last. */
const PIECES = 16;
/** Milliseconds in which a worker must have started. */
const PATIENCE = 10_000;

/** More threads than this share out too little each. */
const GREATEST_AUTO = 8;

/** As many threads as there are cores, and at most 8. */
export function autoThreads(): number {
  const { navigator } = globalThis as { navigator?: { hardwareConcurrency?: number } };
  const cores = builtin("node:os")?.availableParallelism() ?? navigator?.hardwareConcurrency ?? 1;
  return Math.min(cores, GREATEST_AUTO);
}

/** The main thread of a page may not wait. */
function mayWait(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

/** `__name` is what some bundlers call inside functions, to keep their names. */
const code = (): string => `var __name = (f) => f; (${String(workForPool)})(${JSON.stringify(places)})`;

/** How workers are started, and what is to be done when they are. */
interface Starter {
  start(): PoolWorker | Promise<PoolWorker>;
  done(): void;
  /** What is wrong with one that fails without a word. @default it could not be loaded */
  readonly silent?: string;
}

/** A browser does not tell a page that its policy was the reason. */
const BLOB_REFUSED =
  "it could not be loaded from a blob, which a content security policy may forbid; the option worker takes its file";

function starter(source: WorkerSource | undefined): Starter {
  const done = (): void => undefined;
  if (typeof source === "function") return { start: source, done };
  const threads = builtin("node:worker_threads");
  if (threads && source === undefined)
    return { start: () => new threads.Worker(code(), { eval: true }), done };
  if (threads) {
    const file = String(source).startsWith("file:") ? new URL(source!) : source!;
    return { start: () => new threads.Worker(file), done };
  }
  if (typeof Worker === "undefined") throw new Error("the engine has no workers");
  if (source !== undefined) return { start: () => new Worker(source, { type: "module" }), done };
  const url = URL.createObjectURL(new Blob([code()], { type: "text/javascript" }));
  return { start: () => new Worker(url), done: () => URL.revokeObjectURL(url), silent: BLOB_REFUSED };
}

function listen(worker: PoolWorker, event: string, listener: (value: unknown) => void): void {
  if ("on" in worker) worker.on(event, listener);
  else worker.addEventListener(event, (e) => listener("data" in e ? e.data : e));
}

/** Resolves when the worker says that it is there. */
function ready(worker: PoolWorker, silent = "it could not be loaded"): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => (error ? reject(error) : resolve());
    listen(worker, "message", (message) => {
      const { ready: at } = (message ?? {}) as { ready?: unknown };
      const same = JSON.stringify(at) === JSON.stringify(places);
      settle(same ? undefined : new Error("it is not the worker of this version of Heddle"));
    });
    for (const event of ["error", "messageerror"])
      listen(worker, event, (error) => {
        const { message } = (error ?? {}) as { message?: unknown };
        settle(new Error(typeof message === "string" && message !== "" ? message : silent));
      });
  });
}

/** One that is there in time; one that is not, or comes later, is ended. */
async function startWorker({ start, silent }: Starter): Promise<PoolWorker> {
  let worker: PoolWorker | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let isLate = false;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it said nothing in ${PATIENCE / 1000} s`)), PATIENCE);
  });
  const begin = async (): Promise<PoolWorker> => {
    const made = await start();
    if (typeof made?.postMessage !== "function" || typeof made.terminate !== "function")
      throw new Error(`the option worker must give a worker, got ${show(made)}`);
    worker = made;
    if (isLate) void made.terminate();
    await ready(made, silent);
    return made;
  };
  try {
    return await Promise.race([begin(), late]);
  } catch (error) {
    isLate = true;
    void worker?.terminate();
    throw error;
  } finally {
    clearTimeout(timer!);
  }
}

/**
 * Starts `threads - 1` workers.
 * @throws Error The reason when one does not start; none is left then.
 */
export async function startPool(threads: number, source?: WorkerSource): Promise<Pool> {
  const how = starter(source);
  const started = await Promise.allSettled(Array.from({ length: threads - 1 }, () => startWorker(how)));
  how.done();
  const workers = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const stop = (): void => workers.forEach((worker) => void worker.terminate());
  const failed = started.find((one) => one.status === "rejected");
  if (failed) {
    stop();
    const { reason } = failed as { reason: unknown };
    throw new Error(`a worker did not start: ${reason instanceof Error ? reason.message : String(reason)}`);
  }
  // A worker keeps no process alive, once it is there.
  for (const worker of workers) if ("unref" in worker) worker.unref();
  return connect(workers, stop);
}

function connect(workers: readonly PoolWorker[], stop: () => void): Pool {
  const at = places;
  const control = new Int32Array(new SharedArrayBuffer(4 * at.end));
  const threads = workers.length + 1;
  const waits = mayWait();
  const nextTurn = (): void => {
    Atomics.add(control, at.turn, 1);
    if (Atomics.load(control, at.asleep) > 0) Atomics.notify(control, at.turn);
  };
  const tell = (message: (worker: number) => PoolMessage): void => {
    Atomics.add(control, at.version, 1);
    nextTurn();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none
    workers.forEach((worker, i) => worker.postMessage(message(i + 1)));
  };
  const close = (): void => {
    Atomics.store(control, at.open, 0);
    for (let left = CALLER_SPINS; ; left--) {
      const inside = Atomics.load(control, at.inside);
      if (inside === 0) return;
      if (left <= 0 && waits) Atomics.wait(control, at.inside, inside);
    }
  };
  const failure = (): Error => {
    const length = control[at.reason]!;
    const reason = String.fromCharCode(...control.subarray(at.reason + 1, at.reason + 1 + length));
    return new HeddleError("invalid-state", `wasm: kernel must end on every thread, got: ${reason}`);
  };
  return {
    threads,
    join: (memory) => tell((worker) => ({ kind: "join", control, memory, worker, spins: SPINS })),
    load: (message) => tell(() => message),
    run({ kernel, task, units, scratch, scratchBytes }, work) {
      const chunk = Math.max(1, Math.floor(units / (PIECES * threads)));
      control[at.kernel] = kernel;
      control[at.task] = task;
      control[at.units] = units;
      control[at.chunk] = chunk;
      control[at.scratch] = scratch;
      control[at.scratchBytes] = scratchBytes;
      Atomics.store(control, at.failed, 0);
      Atomics.store(control, at.next, 0);
      Atomics.store(control, at.open, 1);
      nextTurn();
      try {
        for (;;) {
          const begin = Atomics.add(control, at.next, chunk);
          if (begin >= units) break;
          work(begin, Math.min(begin + chunk, units));
        }
      } finally {
        close();
      }
      if (Atomics.load(control, at.failed) === 1) throw failure();
    },
    stop,
  };
}
