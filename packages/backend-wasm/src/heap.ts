/** Places in the heap of tfjs's WASM backend. */
import { HeddleError } from "@heddle/core";

/** Bytes of a line of the cache. */
export const LINE = 64;
/** Bytes that malloc can be asked for: it sees 32 bits, and the first page of 4 GiB is never free. */
const GREATEST_PLACE = 2 ** 32 - 2 ** 16;

/** The module that Emscripten made of tfjs's kernels, as far as it is used here. */
interface Emscripten {
  readonly asm: { readonly memory?: WebAssembly.Memory };
  readonly wasmMemory?: WebAssembly.Memory;
  _malloc(bytes: number): number;
  _free(address: number): void;
}

/** tfjs's heap, as the kernels use it. */
export interface Heap {
  /** tfjs's memory, which the kernels share. */
  readonly memory: WebAssembly.Memory;
  /** Bytes that kernels hold besides tensors. */
  readonly scratch: number;
  /** A place at a multiple of 8. @throws HeddleError `invalid-state` when there is no room. */
  allocate(bytes: number): number;
  free(address: number): void;
}

/** The heap of tfjs's module, whose own malloc refuses from now on what does not fit. */
export function heapOf(module: object): Heap {
  const { _malloc: firstMalloc, _free: firstFree } = module as Emscripten;
  // At its first call each puts another function in its place.
  firstFree(firstMalloc(LINE));
  const { asm, wasmMemory, _malloc: malloc, _free: free } = module as Emscripten;
  const memory = asm.memory ?? wasmMemory!;
  const allocate = (bytes: number): number => {
    if (bytes > GREATEST_PLACE) throw noRoom(bytes);
    let address = malloc(bytes) >>> 0;
    // Near 4 GiB the end of a place overflows, and emmalloc hands out one that is too short: it is held meanwhile.
    const short: number[] = [];
    while (address > 0 && address + bytes > memory.buffer.byteLength) {
      short.push(address);
      address = malloc(bytes) >>> 0;
    }
    short.forEach((place) => free(place));
    if (address === 0) throw noRoom(bytes);
    return address;
  };
  // Where there is no room, tfjs would write a tensor's values to address 0, over its own data.
  Object.assign(module, { _malloc: allocate });
  const sizes = new Map<number, number>();
  let scratch = 0;
  return {
    memory,
    get scratch() {
      return scratch;
    },
    allocate(bytes) {
      const address = allocate(bytes);
      sizes.set(address, bytes);
      scratch += bytes;
      return address;
    },
    free(address) {
      scratch -= sizes.get(address)!;
      sizes.delete(address);
      free(address);
    },
  };
}

/** A place in the heap of at least so many bytes, at a line's start; what was there is lost when it grows. */
export function growing({ allocate, free }: Heap): (bytes: number) => number {
  let [allocated, address, size] = [0, 0, 0];
  return (bytes) => {
    if (bytes <= size) return address;
    if (size > 0) free(allocated);
    size = 0;
    allocated = allocate(bytes + LINE);
    size = bytes;
    return (address = Math.ceil(allocated / LINE) * LINE);
  };
}

function noRoom(bytes: number): HeddleError {
  return new HeddleError(
    "invalid-state",
    `wasm: heap must have room for ${bytes} more bytes (it ends at 4 GiB), got none. Dispose tensors, or take a smaller batch`,
  );
}
