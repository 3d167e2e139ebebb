/** Masks of the tiles in which a pattern allows some pairs: a word for each query, a bit for each key. */
import { compileBoolean, emitMaskWgsl, tableWords } from "@heddle/attention";
import type { BooleanNode, EmittedWgsl, MaskShape, PatternRow, StridedRange } from "@heddle/attention";
import { eachGroups, eachIndex, program, programs } from "./program.ts";
import { run } from "./run.ts";
import type { Values } from "./run.ts";

/** Greatest numbers of queries and of keys of a tile. */
export const TILE = 32;

/** A tile that needs a mask. Its queries count from the call's first row. */
interface MaskedTile {
  readonly queries: StridedRange;
  readonly keys: StridedRange;
  /** Where the plan has the two ranges. */
  readonly addresses: readonly [queries: number, keys: number];
}

/** Such tiles of one expression in one head of a batch row; their masks lie behind one another. */
export interface MaskedTiles {
  readonly expression: BooleanNode;
  readonly row: PatternRow;
  readonly head: number;
  readonly tiles: readonly MaskedTile[];
}

/** Words of masks, made here: for the few queries of a step of decoding no program need be compiled. */
export function maskWords(
  { expression, row, head, tiles }: MaskedTiles,
  { queryRows, keyLength }: MaskShape,
): number[] {
  const { queryOffset, attributes } = row;
  const allowed = compileBoolean(expression);
  const line = new Uint8Array(TILE);
  return tiles.flatMap(({ queries, keys }) =>
    Array.from({ length: TILE }, (_, i) => {
      if (i >= queries.count) return 0;
      const place = queries.start + queries.step * i;
      const frame = {
        query: queryOffset + place,
        row: place,
        head,
        queryLength: queryOffset + queryRows,
        keyLength,
        keyStart: keys.start,
        keyStep: keys.step,
        keyCount: keys.count,
        attributes,
        run: 0,
      };
      allowed(frame, line, 0);
      let word = 0;
      for (let j = 0; j < keys.count; j++) word |= line[j]! << j;
      return word;
    }),
  );
}

/** Fills masks by an expression's code: attributes are behind one another, those of queries first. */
const maskProgram = programs(({ allows, querySlots }: { allows: string; querySlots: number }) =>
  program({
    name: "attention.masks",
    reads: {},
    writes: { plan: "u32" },
    uniforms: {
      masks: "u32",
      count: "u32",
      tiles: "u32",
      attributes: "u32",
      tables: "u32",
      head: "i32",
      queryOffset: "i32",
      queries: "i32",
      keys: "i32",
    },
    code: `
fn readAttribute(slot: u32, position: i32) -> i32 {
  let before = select(
    ${querySlots} * uniforms.queries + (i32(slot) - ${querySlots}) * uniforms.keys,
    i32(slot) * uniforms.queries,
    slot < ${querySlots},
  );
  return bitcast<i32>(plan[uniforms.attributes + u32(before + position)]);
}
fn readTable(entry: i32) -> bool {
  return ((plan[uniforms.tables + u32(entry >> 5u)] >> u32(entry & 31)) & 1u) == 1u;
}
${allows}${eachIndex(
      `uniforms.count * ${TILE}`,
      `  let tile = uniforms.tiles + i / ${TILE} * 2;
  let query = i32(i % ${TILE});
  let queries = plan[tile];
  let keys = plan[tile + 1];
  var bits = 0u;
  if (u32(query) < plan[queries + 2]) {
    let row = i32(plan[queries]) + query * i32(plan[queries + 1]);
    for (var j = 0; j < i32(plan[keys + 2]); j++) {
      let key = i32(plan[keys]) + j * i32(plan[keys + 1]);
      let queryLength = uniforms.queryOffset + uniforms.queries;
      if (allows(uniforms.queryOffset + row, key, row, uniforms.head, queryLength, uniforms.keys)) {
        bits |= 1u << u32(j);
      }
    }
  }
  plan[uniforms.masks + i] = bits;`,
    )}`,
  }),
);

/** Puts what the device makes masks from behind a plan's words, and gives the function that has it make them. */
export function placeMasks(
  all: readonly MaskedTiles[],
  words: number[],
  { queryRows, keyLength }: MaskShape,
): (plan: Values, masks: number) => void {
  const place = (values: Iterable<number>): number => {
    const at = words.length;
    for (const value of values) words.push(value);
    return at;
  };
  const emitted = new Map<BooleanNode, { emitted: EmittedWgsl; tables: number }>();
  const emit = (expression: BooleanNode): { emitted: EmittedWgsl; tables: number } => {
    const made = emitMaskWgsl(expression);
    const found = { emitted: made, tables: place(tableWords(made.layout)) };
    emitted.set(expression, found);
    return found;
  };
  let before = 0;
  const jobs = all.map(({ expression, row, head, tiles }) => {
    const { emitted: mask, tables } = emitted.get(expression) ?? emit(expression);
    const { attributes } = mask.layout;
    const job = {
      program: maskProgram({
        allows: mask.code,
        querySlots: attributes.filter(({ of }) => of === "query").length,
      }),
      before,
      uniforms: {
        count: tiles.length,
        tiles: place(tiles.flatMap(({ addresses }) => addresses)),
        attributes: place(attributes.flatMap(({ of, name }) => [...row.attributes[of]![name]!])),
        tables,
        head,
        queryOffset: row.queryOffset,
        queries: queryRows,
        keys: keyLength,
      },
    };
    before += tiles.length;
    return job;
  });
  return (plan, masks) => {
    for (const job of jobs)
      run(job.program, {
        buffers: { plan },
        uniforms: { ...job.uniforms, masks: masks + job.before * TILE },
        groups: eachGroups(job.uniforms.count * TILE),
      });
  };
}
