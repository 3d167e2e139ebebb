import type { Machine } from "./machine.ts";

/** Where a part of an image is; as a word of another part, its address. */
export interface Place {
  /** Bytes from the start of the image. */
  readonly offset: number;
}

/** An image in the heap. */
export interface LoadedImage {
  addressOf(place: Place): number;
  free(): void;
}

type Part = readonly (number | Place)[] | Int32Array | Uint32Array | Uint8Array;

/** Structs and arrays that refer to each other, put into the heap in one piece. */
export class HeapImage {
  readonly #parts: { readonly part: Part; readonly offset: number }[] = [];
  #bytes = 0;

  /** Adds 32-bit words, or bytes; each part begins at a multiple of 8. */
  put(part: Part): Place {
    const offset = this.#bytes;
    this.#parts.push({ part, offset });
    this.#bytes += Math.ceil((part instanceof Uint8Array ? part.length : 4 * part.length) / 8) * 8;
    return { offset };
  }

  /** Adds room that a kernel fills. */
  reserve(bytes: number): Place {
    return this.put(new Uint8Array(bytes));
  }

  /** Copies all parts into the heap. */
  load({ memory, allocate, free }: Machine): LoadedImage {
    const address = allocate(Math.max(this.#bytes, 8));
    for (const { part, offset } of this.#parts) {
      if (part instanceof Uint8Array) new Uint8Array(memory.buffer, address + offset, part.length).set(part);
      else {
        const words = new Int32Array(memory.buffer, address + offset, part.length);
        for (let i = 0; i < part.length; i++) {
          const word = part[i]!;
          words[i] = typeof word === "number" ? word : address + word.offset;
        }
      }
    }
    return { addressOf: ({ offset }) => address + offset, free: () => free(address) };
  }
}
