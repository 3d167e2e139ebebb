/** Random tiles of random expressions, each counted pair by pair. */
import { allows, attributeRange, compileTileStatus } from "@heddle/attention";
import { randomStream } from "@heddle/core";
import { randomAttributeNames } from "./random-expression.ts";
import { emptyScore, scoreTiles } from "./tile-truth.ts";
import type { BooleanNode, StatusTile, StridedRange, TileContext } from "@heddle/attention";
import type { TileScore } from "./tile-truth.ts";

type Draw = (bound: number) => number;
type Values = Readonly<Record<string, Int32Array>>;

export interface RandomTilesOptions {
  readonly seed: number;
  /** Which tiles of the seed. */
  readonly index: number;
  /** Greatest queryLength and keyLength; at least 16. @default 64 */
  readonly length?: number;
  /** @default 4 */
  readonly heads?: number;
  /** @default 10 */
  readonly tiles?: number;
}

/**
 * Scores an expression on a random call with random tiles: one head, lengths that differ, token attributes (known by
 * range only in half of the calls), starts anywhere and steps from 1 to 6.
 */
export function scoreRandomTiles(expression: BooleanNode, options: RandomTilesOptions): TileScore {
  const { seed, index, length = 64, heads = 4, tiles = 10 } = options;
  const stream = randomStream({ seed, path: "random-tiles", step: index });
  let drawn = 0;
  const draw: Draw = (bound) => stream.integer(drawn++, bound);
  const [queryLength, keyLength, head] = [8 + draw(length - 7), 8 + draw(length - 7), draw(heads)];
  const attributes = { query: randomAttributes(draw, queryLength), key: randomAttributes(draw, keyLength) };
  const rangeOnly = draw(2) === 0;
  const status = compileTileStatus(expression);
  const found: StatusTile[] = [];
  for (let tile = 0; tile < tiles; tile++) {
    const [queries, keys] = [randomRange(draw, queryLength), randomRange(draw, keyLength)];
    const ranges = (values: Values, range: StridedRange) =>
      Object.fromEntries(
        Object.entries(values).map(([name, all]) => {
          const { minimum, maximum, values: known } = attributeRange({ values: all, offset: 0 }, range);
          return [name, rangeOnly ? { minimum, maximum } : { minimum, maximum, values: known }];
        }),
      );
    const context: TileContext = {
      head,
      queryLength,
      keyLength,
      attributes: { query: ranges(attributes.query, queries), key: ranges(attributes.key, keys) },
    };
    found.push({ queries, keys, status: status(queries, keys, context) });
  }
  const at = (values: Values, position: number): Record<string, number> =>
    Object.fromEntries(Object.entries(values).map(([name, all]) => [name, all[position] ?? 0]));
  const [queryTokens, keyTokens] = [
    new Map<number, Record<string, number>>(),
    new Map<number, Record<string, number>>(),
  ];
  for (let query = 0; query < queryLength; query++) queryTokens.set(query, at(attributes.query, query));
  for (let key = 0; key < keyLength; key++) keyTokens.set(key, at(attributes.key, key));
  return scoreTiles(
    found,
    (query, key) =>
      allows(expression, {
        query,
        key,
        head,
        queryLength,
        keyLength,
        attributes: { query: queryTokens.get(query), key: keyTokens.get(key) },
      }),
    emptyScore(),
  );
}

/** Runs of equal small integers, as documents, flags or noise. */
function randomAttributes(draw: Draw, length: number): Values {
  const make = (): Int32Array => {
    const [change, kind] = [1 + draw(12), draw(3)];
    const values = new Int32Array(length);
    let value = draw(5) - 1;
    for (let at = 0; at < length; at++) {
      if (draw(change) === 0) value = kind === 0 ? value + 1 : kind === 1 ? draw(2) : draw(40) - 20;
      values[at] = value;
    }
    return values;
  };
  return Object.fromEntries(randomAttributeNames.map((name) => [name, make()]));
}

function randomRange(draw: Draw, length: number): StridedRange {
  const step = draw(2) === 0 ? 1 : 1 + draw(6);
  const start = draw(length);
  const most = Math.floor((length - 1 - start) / step) + 1;
  return { start, step, count: 1 + draw(Math.min(most, 18)) };
}
