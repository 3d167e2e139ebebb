/**
 * Tile status: whether an expression allows no pair of a tile, all of them, or some.
 *
 * Sound always: "none" and "all" are proofs. "some" is mostly one too; where the domain (intervals with congruences,
 * exact lattices of linear forms, prefix counts of tables) leaves a tile open, pairs are tried and the tile is
 * halved, a bounded number of times, and what is still open is called "some".
 */
import { checkInteger } from "@heddle/core";
import { preferredBlock } from "./tile-block.ts";
import { checkRange } from "./tile-range.ts";
import { TileSolver } from "./tile-solver.ts";
import { reads } from "./tree.ts";
import type { StridedRange, TileContext, TileStatus } from "./tile-range.ts";
import type { BooleanNode } from "./tree.ts";

/** The status of one tile. */
export type TileStatusFunction = (
  queries: StridedRange,
  keys: StridedRange,
  context: TileContext,
) => TileStatus;

/** Evaluations that one open tile may cost. */
const greatestEffort = 160;
/** Bound expressions kept: one per head and, where the tree reads them, per length. */
const greatestKept = 64;

/** The status of a tile within [0, queryLength) x [0, keyLength), of an expression that passed `checkExpression`. */
export function tileStatus(
  expression: BooleanNode,
  queries: StridedRange,
  keys: StridedRange,
  context: TileContext,
): TileStatus {
  return compileTileStatus(expression)(queries, keys, context);
}

const compiled = new WeakMap<BooleanNode, TileStatusFunction>();

/**
 * Compiles an expression that passed `checkExpression`, the same object once. What depends on the head and on the
 * lengths is made when first asked for. The function throws on ranges that are empty or reach beyond the lengths.
 */
export function compileTileStatus(expression: BooleanNode): TileStatusFunction {
  let status = compiled.get(expression);
  if (!status) compiled.set(expression, (status = compile(expression)));
  return status;
}

function compile(expression: BooleanNode): TileStatusFunction {
  const { variables } = reads(expression);
  const readsHead = variables.has("head");
  const readsQueries = variables.has("queryLength");
  const readsKeys = variables.has("keyLength");
  const block = preferredBlock(expression);
  const kept = new Map<string, TileSolver>();
  let [lastHead, lastQueries, lastKeys] = [-1, -1, -1];
  let last: TileSolver | undefined;
  const solverOf = ({ head, queryLength, keyLength }: TileContext): TileSolver => {
    if (last && head === lastHead && queryLength === lastQueries && keyLength === lastKeys) return last;
    checkInteger("tileStatus: head", head, { min: 0 });
    checkInteger("tileStatus: queryLength", queryLength, { min: 1 });
    checkInteger("tileStatus: keyLength", keyLength, { min: 1 });
    // Tables along a line reach a power of two, so that decoding token by token does not make them again.
    const length = 2 ** Math.ceil(Math.log2(Math.max(queryLength, keyLength, 64)));
    const known = {
      head: readsHead ? head : 0,
      queryLength: readsQueries ? queryLength : 0,
      keyLength: readsKeys ? keyLength : 0,
    };
    const name = `${length},${known.head},${known.queryLength},${known.keyLength}`;
    let solver = kept.get(name);
    if (!solver) {
      if (kept.size >= greatestKept) kept.clear();
      kept.set(name, (solver = new TileSolver(expression, known, length, { effort: greatestEffort, block })));
    }
    [lastHead, lastQueries, lastKeys, last] = [head, queryLength, keyLength, solver];
    return solver;
  };
  return (queries, keys, context) => {
    const solver = solverOf(context);
    if (!fits(queries, context.queryLength)) checkRange("tileStatus: queries", queries, context.queryLength);
    if (!fits(keys, context.keyLength)) checkRange("tileStatus: keys", keys, context.keyLength);
    return solver.status(queries, keys, context.attributes);
  };
}

/** `checkRange` without its messages, since it is asked for every tile. */
function fits({ start, step, count }: StridedRange, length: number): boolean {
  const integers = (start | 0) === start && (step | 0) === step && (count | 0) === count;
  return integers && start >= 0 && step >= 1 && count >= 1 && start + step * (count - 1) < length;
}
