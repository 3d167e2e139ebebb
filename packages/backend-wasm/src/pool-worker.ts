import type { NodeWorker } from "./builtin.ts";

/** Where in the control array the pool and its workers meet: what is written while another reads has its own line. */
export const places = {
  /** Counts jobs and messages; workers sleep on it. */
  turn: 0,
  /** 1 while units of a job are to be had. */
  open: 16,
  /** Workers inside a job. */
  inside: 32,
  /** The next unit of the job. */
  next: 48,
  /** Workers asleep. */
  asleep: 64,
  /** Messages sent; a worker that has not read all takes no units. */
  version: 80,
  /** 1 after a kernel threw on a worker, in the job. */
  failed: 96,
  /** The job: number of the kernel, address of its task, its units, how many are taken at once, scratch. */
  kernel: 112,
  task: 113,
  units: 114,
  chunk: 115,
  scratch: 116,
  scratchBytes: 117,
  /** What a kernel threw: length and UTF-16 codes. */
  reason: 128,
  end: 384,
} as const;

/** What the pool tells its workers: `join` first, then `kernels` and whatever `functions` they call, in any order. */
export type PoolMessage =
  | {
      readonly kind: "join";
      readonly control: Int32Array;
      readonly memory: WebAssembly.Memory;
      /** From 1. */
      readonly worker: number;
      /** Looks at the turn before a worker goes to sleep. */
      readonly spins: number;
    }
  | { readonly kind: "kernels"; readonly module: WebAssembly.Module; readonly names: readonly string[] }
  | {
      readonly kind: "functions";
      readonly module: WebAssembly.Module;
      readonly names: readonly string[];
      /** Where in the table the first of them goes. */
      readonly at: number;
    };

type Kernel = (task: number, begin: number, end: number, scratch: number) => void;

/**
 * What a worker does. Workers get it as its own source, so it uses nothing from outside itself.
 *
 * Outside a worker it does nothing. A worker either reads messages, as every worker does, or serves, in which it does
 * not return to its event loop: it looks for jobs, asleep after a while, until there is a message.
 */
export function workForPool(at: typeof places): void {
  interface Port {
    addEventListener(event: "message", listener: (event: { readonly data: PoolMessage }) => void): void;
    postMessage(message: unknown): void;
  }
  const { process } = globalThis as {
    process?: { getBuiltinModule?(id: string): { readonly parentPort: Port | null } | undefined };
  };
  const threads = process?.getBuiltinModule?.("node:worker_threads");
  const isWorker = "WorkerGlobalScope" in globalThis;
  const port = threads ? threads.parentPort : isWorker ? (globalThis as unknown as Port) : null;
  if (!port) return;
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  let control: Int32Array = new Int32Array();
  let memory: WebAssembly.Memory;
  let kernels: readonly Kernel[] = [];
  let [worker, spins, version] = [0, 0, 0];

  const work = (): void => {
    const kernel = kernels[control[at.kernel]!]!;
    const [task, units, chunk] = [control[at.task]!, control[at.units]!, control[at.chunk]!];
    const scratch = control[at.scratch]! + worker * control[at.scratchBytes]!;
    for (;;) {
      const begin = Atomics.add(control, at.next, chunk);
      if (begin >= units) return;
      kernel(task, begin, Math.min(begin + chunk, units), scratch);
    }
  };
  const fail = (error: unknown): void => {
    if (Atomics.exchange(control, at.failed, 1) === 1) return;
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, at.end - at.reason - 1);
    control[at.reason] = reason.length;
    for (let i = 0; i < reason.length; i++) control[at.reason + 1 + i] = reason.charCodeAt(i);
  };
  const serve = (): void => {
    let seen = -1;
    while (Atomics.load(control, at.version) === version) {
      for (let left = spins; Atomics.load(control, at.turn) === seen && left > 0; left--);
      if (Atomics.load(control, at.turn) === seen) {
        Atomics.add(control, at.asleep, 1);
        Atomics.wait(control, at.turn, seen);
        Atomics.sub(control, at.asleep, 1);
      }
      seen = Atomics.load(control, at.turn);
      // In first, then a look whether it is open: the pool closes first, then looks who is in.
      Atomics.add(control, at.inside, 1);
      try {
        if (Atomics.load(control, at.open) === 1 && Atomics.load(control, at.version) === version) work();
      } catch (error) {
        fail(error);
      }
      if (Atomics.sub(control, at.inside, 1) === 1) Atomics.notify(control, at.inside);
    }
  };
  const exportsOf = (module: WebAssembly.Module): WebAssembly.Exports =>
    new WebAssembly.Instance(module, { env: { memory, __indirect_function_table: table } }).exports;
  port.addEventListener("message", ({ data }) => {
    if (data.kind === "join") ({ control, memory, worker, spins } = data);
    else {
      const exports = exportsOf(data.module);
      if (data.kind === "kernels") kernels = data.names.map((name) => exports[name] as Kernel);
      else {
        const { names, at: first } = data;
        if (table.length < first + names.length) table.grow(first + names.length - table.length);
        names.forEach((name, i) => table.set(first + i, exports[name]));
      }
    }
    version++;
    serve();
  });
  port.postMessage({ ready: at });
}

/** A worker of a page or of Node. */
export type PoolWorker = Worker | NodeWorker;
