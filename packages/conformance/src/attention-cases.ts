import {
  and,
  bigBird,
  causal,
  dilated,
  fromInteger,
  full,
  lookup,
  or,
  padding,
  score,
  slidingWindow,
  softCap,
  strided,
  variables,
} from "@heddle/attention";
import type {
  AttentionCall,
  AttentionMapsCall,
  AttentionPattern,
  MapSelection,
  NumberNode,
} from "@heddle/attention";
import { patternSamples } from "./pattern-samples.ts";
import { drawAttributes } from "./random-attention.ts";
import type { AttentionSizes } from "./random-attention.ts";
import { randomModifier } from "./random-modifier.ts";
import { randomStream } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

type Settings = Pick<AttentionCall, "queryOffset" | "keyLength" | "scale" | "dropout">;

interface Drawn extends Partial<AttentionSizes>, Settings {
  readonly name: string;
  readonly pattern: AttentionPattern;
  /** Factor of the queries. @default 1 */
  readonly size?: number;
  /** Modifiers by their scores; what they look up is drawn in these shapes. */
  readonly modifiers?: readonly NumberNode[];
  readonly tables?: Readonly<Record<string, readonly number[]>>;
  /** @default true */
  readonly differentiable?: boolean;
}

function draw(settings: Drawn): AttentionCall {
  const { name: _, pattern, size = 1, queryOffset, keyLength, scale, dropout, ...rest } = settings;
  const { modifiers, tables = {}, differentiable: _differentiable, ...sizes } = rest;
  const {
    batch = 1,
    heads = 4,
    keyHeads = heads,
    queries = 70,
    keys = queries,
    width = 8,
    valueWidth = width,
  } = sizes;
  return {
    q: drawn("q", [batch, heads, queries, width], { scale: size }),
    k: drawn("k", [batch, keyHeads, keys, width]),
    v: drawn("v", [batch, keyHeads, keys, valueWidth]),
    pattern,
    attributes: drawAttributes(batch, queries, keyLength ?? keys),
    ...(queryOffset !== undefined && { queryOffset }),
    ...(keyLength !== undefined && { keyLength }),
    ...(scale !== undefined && { scale }),
    ...(dropout && { dropout }),
    ...(modifiers && {
      modifiers: modifiers.map((score) => ({
        kind: "modifier" as const,
        name: "drawn",
        options: {},
        score,
        tables: Object.fromEntries(Object.entries(tables).map(([name, shape]) => [name, drawn(name, shape)])),
      })),
    }),
  };
}

const { query, key } = variables;
/** The bias of each clipped distance. */
const distance = key.minus(query).maximum(-9).minimum(9).plus(9);
const biased = score.plus(lookup("bias", distance)).node;
/** A half for keys up to the query, Infinity over Infinity for those far behind it. */
const odds = fromInteger(key.minus(query).maximum(0)).times(100).exp();
const unknownAhead = odds.dividedBy(odds.plus(1));
const sameDocument = key.attribute("document").equals(query.attribute("document"));

/** A call of sizes that divide nothing, under a named pattern and the tokens next to each. */
function drawCase(index: number): Drawn {
  const stream = randomStream({ seed: 14, path: "attention-cases", step: index });
  const [keyHeads, groups, batch] = [
    1 + stream.integer(0, 3),
    1 + stream.integer(1, 3),
    1 + stream.integer(2, 2),
  ];
  const [queries, keys] = [1 + stream.integer(3, 260), 2 + stream.integer(4, 260)];
  const pattern = patternSamples[stream.integer(5, patternSamples.length)]!;
  const dropout = { rate: 0.2, address: { seed: index, path: "drawn" } };
  // Patterns by head are made for four.
  const heads =
    pattern.name === "dilated" || pattern.name === "strided"
      ? { heads: 4 }
      : { keyHeads, heads: keyHeads * groups };
  return {
    name: `random call ${index}`,
    pattern: or(pattern, slidingWindow({ before: 1, after: 1 })),
    batch,
    ...heads,
    queries,
    keys,
    width: 1 + stream.integer(6, 70),
    valueWidth: 1 + stream.integer(7, 70),
    queryOffset: Array.from({ length: batch }, (_, row) => stream.integer(8 + row, 30)),
    // The one key of a row has no slope, of which dropout leaves a rounding.
    keyLength: 2 + stream.integer(10, keys - 1),
    ...(index % 2 === 0 && { dropout }),
    ...(index % 3 === 0 && {
      modifiers: [biased, softCap({ cap: 2 }).score],
      tables: { bias: [1, 1, queries, 19] },
    }),
  };
}

const cases: readonly Drawn[] = [
  ...patternSamples.map((pattern) => ({
    name: `${pattern.name} ${JSON.stringify(pattern.options)}`,
    pattern,
  })),
  { name: "one query, one key", pattern: full(), queries: 1, heads: 1, width: 1 },
  { name: "two rows of a batch, padded", pattern: and(padding(), causal()), batch: 2, queries: 33 },
  {
    name: "grouped queries, odd widths",
    pattern: causal(),
    heads: 6,
    keyHeads: 2,
    width: 13,
    valueWidth: 21,
  },
  ...Array.from({ length: 8 }, (_, index) => drawCase(index)),
  {
    name: "the widest heads, grouped",
    pattern: causal(),
    heads: 2,
    keyHeads: 1,
    queries: 210,
    width: 251,
    valueWidth: 256,
  },
  { name: "wide heads", pattern: full(), heads: 2, queries: 26, width: 256, valueWidth: 130 },
  {
    name: "more keys than queries",
    pattern: slidingWindow({ before: 9 }),
    queries: 30,
    keys: 130,
    queryOffset: 100,
  },
  { name: "fewer keys than queries", pattern: full(), queries: 50, keys: 3 },
  { name: "an offset a row", pattern: causal(), batch: 3, queries: 5, keys: 200, queryOffset: [0, 190, 64] },
  {
    name: "one query of a long cache",
    pattern: causal(),
    queries: 1,
    keys: 150,
    keyLength: 131,
    queryOffset: 130,
  },
  {
    name: "two queries, odd width",
    pattern: slidingWindow({ before: 70 }),
    queries: 2,
    keys: 99,
    queryOffset: 90,
    width: 7,
  },
  { name: "a capacity beyond the keys", pattern: causal(), queries: 40, keys: 90, keyLength: 40 },
  { name: "rows that see nothing", pattern: slidingWindow({ before: 2 }), queries: 60, keys: 20 },
  { name: "extreme scores", pattern: causal(), size: 1e4, queries: 40 },
  { name: "two queries, extreme scores", pattern: full(), size: 30, queries: 2, keys: 90 },
  // Gradients that are denormal have no four digits to compare.
  { name: "scores that are denormal", pattern: full(), size: 1e-41, queries: 30, differentiable: false },
  { name: "a scale", pattern: full(), scale: -3, queries: 30 },
  {
    name: "dilated, many tiles",
    pattern: dilated({ window: { before: 40 }, dilation: 4 }),
    queries: 300,
    heads: 2,
  },
  { name: "strided, many tiles", pattern: strided({ stride: 16 }), queries: 300, heads: 2 },
  {
    name: "BigBird, many tiles",
    pattern: bigBird({ block: 16, window: 1, global: 1, random: 2, seed: 3 }),
    queries: 320,
    heads: 2,
  },
  {
    name: "dropout",
    pattern: causal(),
    batch: 2,
    queries: 67,
    dropout: { rate: 0.3, address: { seed: 7, step: 2 } },
  },
  {
    name: "dropout, keys in steps",
    pattern: dilated({ window: { before: 20 }, dilation: 3 }),
    queries: 150,
    heads: 3,
    dropout: { rate: 0.6, address: { seed: 1, path: "h.0" } },
    modifiers: [softCap({ cap: 3 }).score],
  },
  { name: "dropout of nothing", pattern: full(), queries: 9, dropout: { rate: 0, address: { seed: 1 } } },
  { name: "soft cap", pattern: causal(), size: 10, modifiers: [softCap({ cap: 2 }).score] },
  {
    name: "a bias by head and distance",
    pattern: causal(),
    modifiers: [biased],
    tables: { bias: [1, 4, 1, 19] },
  },
  {
    name: "a bias by batch row, query and distance, decoding",
    pattern: causal(),
    batch: 2,
    queries: 3,
    keys: 90,
    queryOffset: [87, 20],
    modifiers: [biased, softCap({ cap: 3 }).score],
    tables: { bias: [2, 1, 3, 19] },
  },
  {
    name: "a bias whose derivative is no number where no pair is allowed",
    pattern: causal(),
    queries: 30,
    modifiers: [score.plus(lookup("bias", distance).times(unknownAhead)).node],
    tables: { bias: [1, 4, 1, 19] },
  },
  {
    name: "a modifier of attributes, batch rows apart",
    pattern: full(),
    batch: 2,
    queries: 30,
    modifiers: [sameDocument.select(score, score.times(0.25)).node],
  },
  ...Array.from({ length: 12 }, (_, index) => ({
    name: `random modifier ${index}`,
    pattern: slidingWindow({ before: 30, after: 20 }),
    modifiers: [randomModifier({ seed: 2, index })],
    tables: { bias: [1, 4, 70, 19], slope: [1, 1, 1, 2] },
  })),
];

/** Calls of `attentionOperation` for the kernels of every backend. */
export const attentionCases: readonly KernelCase<AttentionCall>[] = cases.map((drawn) => ({
  name: drawn.name,
  make: () => draw(drawn),
  differentiable: drawn.differentiable ?? true,
}));

/** What is asked for, in turns: all of a call, one row of one head, and rows in any order, some of them twice. */
const selections: readonly ((heads: number, rows: number) => MapSelection)[] = [
  () => ({}),
  (heads, rows) => ({ heads: [heads - 1], rows: [Math.floor(rows / 2)] }),
  (heads, rows) => ({ heads: [heads - 1, 0, 0], rows: [rows - 1, 0, Math.floor(rows / 3), rows - 1] }),
];

/** Calls of `attentionMapsOperation` for the kernels of every backend. */
export const attentionMapsCases: readonly KernelCase<AttentionMapsCall>[] = cases.map((drawn, i) => {
  const { queries = 70, heads = 4 } = drawn;
  const selection = selections[i % selections.length]!(heads, queries);
  return {
    name: `${JSON.stringify(selection)} of ${drawn.name}`,
    make: () => ({ ...draw(drawn), ...selection }),
    differentiable: false,
  };
});
