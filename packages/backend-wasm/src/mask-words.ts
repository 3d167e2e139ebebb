import { emitMask, tableBytes, tileArguments } from "@heddle/attention";
import type { EmittedWasm, PatternRow, StridedRange } from "@heddle/attention";
import { HeapImage } from "./heap-image.ts";
import type { Machine } from "./machine.ts";

type Expression = PatternRow["expression"];

/** The part of a call that a tile's mask depends on. */
export interface MaskContext extends PatternRow {
  readonly head: number;
  readonly queryLength: number;
  readonly keyLength: number;
}

interface Compiled {
  readonly layout: EmittedWasm["layout"];
  readonly module: WebAssembly.Module;
}

/** Kept, since each token that is decoded is a plan of its own. */
const compiled = { plain: new WeakMap<Expression, Compiled>(), shared: new WeakMap<Expression, Compiled>() };

function compile(expression: Expression, sharedMemory: boolean): Compiled {
  const kept = compiled[sharedMemory ? "shared" : "plain"];
  const known = kept.get(expression);
  if (known) return known;
  const { bytes, layout } = emitMask(expression, { sharedMemory });
  const made = { layout, module: new WebAssembly.Module(bytes) };
  kept.set(expression, made);
  return made;
}

/** Makes masks of tiles by the module that is emitted for an expression; the one who asks for it disposes it. */
export interface MaskWords {
  /** A word of 64 bits for each query of a tile of at most 64 keys, as pairs of 32 bits. */
  of(queries: StridedRange, keys: StridedRange): Uint32Array;
  dispose(): void;
}

/** Masks of the tiles of one head of one batch row. */
export function maskWords(machine: Machine, context: MaskContext, greatestQueries: number): MaskWords {
  const { memory, sharedMemory } = machine;
  const { layout, module } = compile(context.expression, sharedMemory);
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  const mask = instance.exports["mask"] as (...args: number[]) => number;
  const values = layout.attributes.map(({ of, name }) => context.attributes[of][name] ?? new Int32Array());
  const image = new HeapImage();
  const [list, tables] = [image.put(values.map((array) => image.put(array))), image.put(tableBytes(layout))];
  const result = image.reserve(8 * greatestQueries);
  const { addressOf, free } = image.load(machine);
  const out = addressOf(result);
  const { head, queryLength, keyLength, queryOffset } = context;
  return {
    of(queries, keys) {
      const given: Readonly<Record<(typeof tileArguments)[number], number>> = {
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
        attributes: addressOf(list),
        tables: addressOf(tables),
        lookups: 0,
      };
      mask(out, ...tileArguments.map((name) => given[name]));
      return new Uint32Array(memory.buffer, out, 2 * queries.count).slice();
    },
    dispose: free,
  };
}
