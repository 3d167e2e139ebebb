/** Our kernels in the memory of tfjs's WASM backend. */
import { HeddleError } from "@heddle/core";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { LINE, growing, heapOf } from "./heap.ts";
import type { Heap } from "./heap.ts";
import { kernelBinary } from "./instruction-set.ts";
import type { InstructionSet } from "./instruction-set.ts";
import type { Pool } from "./pool.ts";
import { withSharedMemory } from "./shared-memory.ts";

/** What kernels for the operations are written against. */
export interface Machine extends Heap {
  readonly instructions: InstructionSet;
  /** Measured when it is first asked for. */
  readonly tile: Tile;
  /** What was measured to be best; undefined before the first kernel runs. */
  readonly choice: Candidate | undefined;
  /** Whether threads share it: modules must import it as such. */
  readonly sharedMemory: boolean;
  /** Threads that share out the work. */
  readonly threads: number;
  /**
   * Puts functions of a module, which imports `env.memory`, where the kernels can call them, on all threads.
   * @param at Number of the first function whose place they take. @default new places
   * @returns Number of the first.
   */
  link(module: WebAssembly.Module, names: readonly string[], at?: number): number;
  /** Counts a tensor among the packed weights as long as it lives. */
  notePacked(values: Tensor): void;
  /** Bytes of packed weights. */
  readonly packed: number;
  /** Byte address of a tensor's values. A tensor on another backend is moved, which allocates. */
  address(tensor: Tensor): number;
  /** A new float32 tensor for a kernel to fill; until then its values are whatever was there. */
  output(shape: readonly number[]): Tensor;
  /**
   * Runs a kernel: its functions `<kernel>_units` and `<kernel>_scratch` (if there is one) tell how many units of work
   * the task has and how many bytes a thread needs for itself; `<kernel>` does the units, which all threads share out.
   */
  run(kernel: string, task: readonly Word[]): void;
}

/** A field of a task, as its struct in C has it: an integer, an address, or a float from {@link float}. */
export type Word = number;

/** The shape of the tiles that matrix products hold in registers. */
export interface Tile {
  readonly rows: 4 | 6;
  readonly columns: 8 | 16;
}

/** The functions of a compiled module. */
export type Code = Readonly<Record<string, (...words: number[]) => number>>;

/** Compiled kernels: the module, and its functions on this thread. */
export interface Compiled {
  readonly module: WebAssembly.Module;
  readonly code: Code;
}

/** Compiled kernels, the tile that suits them, and how they are called for people. */
export interface Candidate extends Compiled {
  readonly tile: Tile;
  readonly wide: boolean;
  /** Why the code is not wide. */
  readonly narrowBecause?: string;
}

/** What there is to choose from. */
export interface CalibrationInput {
  readonly narrow: Compiled;
  readonly binary: Uint8Array<ArrayBuffer>;
  readonly imports: WebAssembly.Imports;
  /** Whether wide code is tried; `true` takes it whatever is measured, and fails where there is none. */
  readonly wide: "auto" | boolean;
  /** Makes a candidate the one that the kernels run by. */
  use(candidate: Candidate): void;
}

const pun = new DataView(new ArrayBuffer(4));

/** A float as a word. */
export function float(value: number): Word {
  pun.setFloat32(0, value);
  return pun.getInt32(0);
}

/** More words than any task has. */
const TASK_WORDS = 64;
const machines = new WeakMap<object, Machine>();

/** The machine of the active backend. */
export function machine(): Machine {
  const found = machines.get(tf.backend());
  if (!found)
    throw new HeddleError(
      "invalid-state",
      "wasm: backend must be started by startBackend(wasm()), got tfjs's own",
    );
  return found;
}

/** The machine in whose heap a tensor is, whichever backend is active; the active one for a tensor of another backend. */
export function machineOf(tensor: Tensor): Machine {
  const found = machines.get(tf.engine().state.tensorInfo.get(tensor.dataId)!.backend);
  if (found) return found;
  // Throws where its backend was disposed.
  tensor.dataSync();
  return machine();
}

/** Forgets the machine of a backend that was disposed. */
export function uninstallMachine(backend: BackendWasm): void {
  machines.delete(backend);
}

/** How a machine is set up. */
export interface MachineOptions {
  readonly instructions: InstructionSet;
  /** Whether 256-bit code may be tried; `true`: it must be what is taken. */
  readonly wide: "auto" | boolean;
  /** Finds the best of what there is, by running kernels; called when the first one is needed. */
  readonly calibrate: (input: CalibrationInput) => Candidate;
  /** Workers, if the backend's memory is shared. */
  readonly pool?: Pool | undefined;
}

/** Puts the kernels into a backend's memory, where {@link machine} finds them while the backend is active. */
export async function installMachine(
  backend: BackendWasm,
  { instructions, wide, calibrate, pool }: MachineOptions,
): Promise<Machine> {
  const heap = heapOf(backend.wasm);
  const { memory } = heap;
  const sharedMemory = typeof SharedArrayBuffer !== "undefined" && memory.buffer instanceof SharedArrayBuffer;
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
  const imports = { env: { memory, __indirect_function_table: table } };
  const plain = await kernelBinary(instructions);
  const binary = sharedMemory ? withSharedMemory(plain) : plain;
  const { instance, module } = await WebAssembly.instantiate(binary, imports);
  const narrow = { module, code: instance.exports as Code };
  pool?.join(memory);
  const kernels = Object.keys(narrow.code).filter((name) => Object.hasOwn(narrow.code, `${name}_units`));
  const numbers = new Map(kernels.map((name, number) => [name, number]));
  let current: Candidate | undefined;
  /** Workers that can run what was chosen: none while it is being chosen. */
  let helpers: Pool | undefined;
  /** The kernels, chosen when they are first needed, so that a program that computes nothing does not wait. */
  const chosen = (): Candidate => {
    if (current) return current;
    const use = (candidate: Candidate): void => void (current = candidate);
    try {
      current = calibrate({ narrow, binary, imports, wide, use });
      pool?.load({ kind: "kernels", module: current.module, names: kernels });
      helpers = pool;
      return current;
    } catch (error) {
      current = undefined;
      if (wide !== true) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new HeddleError("unsupported", `wasm: wide must be possible here, got a reason: ${why}`, {
        cause: error,
      });
    }
  };
  const task = growing(heap)(4 * TASK_WORDS);
  const scratchOf = growing(heap);
  let packed: Tensor[] = [];
  const installed: Machine = {
    instructions,
    memory,
    get scratch() {
      return heap.scratch;
    },
    allocate: (bytes) => heap.allocate(bytes),
    free: (address) => heap.free(address),
    notePacked(values) {
      packed = packed.filter(({ isDisposed }) => !isDisposed);
      packed.push(values);
    },
    get packed() {
      return packed.reduce((bytes, { isDisposed, size }) => bytes + (isDisposed ? 0 : 4 * size), 0);
    },
    sharedMemory,
    threads: pool?.threads ?? 1,
    link(linked, names, at = table.grow(names.length)) {
      const { exports } = new WebAssembly.Instance(linked, imports);
      names.forEach((name, i) => table.set(at + i, exports[name]));
      pool?.load({ kind: "functions", module: linked, names, at });
      return at;
    },
    get tile() {
      return chosen().tile;
    },
    get choice() {
      return current;
    },
    address: ({ dataId }) => backend.dataIdMap.get(dataId).memoryOffset >>> 0,
    output(shape) {
      return tf.engine().makeTensorFromTensorInfo(backend.makeOutput([...shape], "float32"), backend);
    },
    run(kernel, words) {
      const { code } = chosen();
      new Int32Array(memory.buffer, task, words.length).set(words);
      const units = code[`${kernel}_units`]!(task);
      const scratchBytes = Math.ceil((code[`${kernel}_scratch`]?.(task) ?? 0) / LINE) * LINE;
      if (!helpers || units < 2) {
        code[kernel]!(task, 0, units, scratchOf(scratchBytes));
        return;
      }
      const scratch = scratchOf(scratchBytes * helpers.threads);
      const job = { kernel: numbers.get(kernel)!, task, units, scratch, scratchBytes };
      helpers.run(job, (begin, end) => code[kernel]!(task, begin, end, scratch));
    },
  };
  machines.set(backend, installed);
  return installed;
}
