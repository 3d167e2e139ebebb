/** Runs emitted WebAssembly modules on one tile, in a memory of their own. */
import { tableBytes, tileArguments } from "@heddle/attention";
import type { EmittedWasm, ModifierContext } from "@heddle/attention";

/** An instance of an emitted module. */
export interface WasmTile {
  /** The mask of a tile, [queries.count, keys.count] of 0 and 1, and the number of pairs that the module counted. */
  mask(tile: ModifierContext): { readonly bits: Uint8Array; readonly allowed: number };
  /** `modify` or `scoreDerivative` of a tile of scores. */
  scores(what: "modify" | "scoreDerivative", scores: Float32Array, tile: ModifierContext): Float32Array;
  /** The gradients of the looked-up tensors, laid out like `tile.lookups`. */
  lookupGradients(
    scores: Float32Array,
    upstream: Float32Array,
    tile: ModifierContext,
  ): Readonly<Record<string, Float32Array>>;
}

type Exports = Readonly<Record<string, (...args: readonly number[]) => number>>;

/** Instantiates an emitted module. */
export function startWasmTile({ bytes, layout }: EmittedWasm): WasmTile {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  const exports = instance.exports as Exports;
  let top = 8;
  const reserve = (size: number): number => {
    const address = top;
    top = Math.ceil((top + size) / 16) * 16;
    const missing = top - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return address;
  };
  const put = (values: Int32Array | Float32Array | Uint8Array): number => {
    const address = reserve(values.byteLength);
    new Uint8Array(memory.buffer, address).set(
      new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
    );
    return address;
  };
  const floats = (address: number, length: number) =>
    new Float32Array(memory.buffer, address, length).slice();
  const tables = put(tableBytes(layout));
  const start = top;

  const prepare = (tile: ModifierContext): number[] => {
    top = start;
    const {
      queries,
      keys,
      head = 0,
      queryLength,
      keyLength,
      queryOffset = 0,
      attributes,
      lookups = {},
    } = tile;
    const addresses = layout.attributes.map(({ of, name }) =>
      put(attributes?.[of]?.[name] ?? new Int32Array()),
    );
    const triples = layout.lookups.flatMap((name) => {
      const { values, offset = 0, length, rowStride = 0 } = lookups[name]!;
      return [put(values) + 4 * offset, rowStride, length];
    });
    const values: Record<(typeof tileArguments)[number], number> = {
      queryStart: queries.start,
      queryStep: queries.step,
      queryCount: queries.count,
      keyStart: keys.start,
      keyStep: keys.step,
      keyCount: keys.count,
      head,
      queryLength,
      keyLength,
      queryOffset,
      attributes: put(Int32Array.from(addresses)),
      tables,
      lookups: put(Int32Array.from(triples)),
    };
    return tileArguments.map((name) => values[name]);
  };

  return {
    mask(tile) {
      const args = prepare(tile);
      const words = Math.ceil(tile.keys.count / 64);
      const out = reserve(tile.queries.count * words * 8);
      const allowed = exports["mask"]!(out, ...args);
      const bits = new Uint8Array(tile.queries.count * tile.keys.count);
      const packed = new Uint8Array(memory.buffer, out, tile.queries.count * words * 8);
      for (let row = 0; row < tile.queries.count; row++)
        for (let key = 0; key < tile.keys.count; key++)
          bits[row * tile.keys.count + key] = (packed[row * words * 8 + (key >> 3)]! >> (key & 7)) & 1;
      return { bits, allowed };
    },
    scores(what, scores, tile) {
      const args = prepare(tile);
      const from = put(scores);
      const out = reserve(scores.byteLength);
      exports[what]!(from, out, tile.keys.count, ...args);
      return floats(out, scores.length);
    },
    lookupGradients(scores, upstream, tile) {
      const args = prepare(tile);
      const sums = layout.lookups.map((name) => put(new Float32Array(tile.lookups![name]!.values.length)));
      const triples = layout.lookups.flatMap((name, at) => {
        const { offset = 0, length, rowStride = 0 } = tile.lookups![name]!;
        return [sums[at]! + 4 * offset, rowStride, length];
      });
      const gradients = put(Int32Array.from(triples));
      exports["lookupGradients"]!(put(scores), put(upstream), tile.keys.count, ...args, gradients);
      return Object.fromEntries(
        layout.lookups.map((name, at) => [name, floats(sums[at]!, tile.lookups![name]!.values.length)]),
      );
    },
  };
}
