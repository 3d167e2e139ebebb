// Tile status against the truth: random expressions, named patterns and their pairs, every pair of every tile counted.
import { and, causal, globalTokens, or, slidingWindow } from "@heddle/attention";
import {
  countNodeKinds,
  decidedShare,
  emptyScore,
  randomExpression,
  scorePattern,
  scoreRandomTiles,
  tileCases,
} from "@heddle/conformance";
import { tableOf } from "./measure.ts";
import type { AttentionPattern } from "@heddle/attention";
import type { PatternScore, TileScore } from "@heddle/conformance";
import type { Figure, FigureContext } from "./figure.ts";

const expressions = 10_000;
const leaves = ["query", "key", "head", "queryLength", "keyLength"].map((name) => `variable ${name}`);
const integers = [
  "constant",
  "attribute",
  "add",
  "subtract",
  "multiply",
  "minimum",
  "maximum",
  "divide",
  "modulo",
];
const booleans = ["literal", "equal", "less", "lessOrEqual", "and", "or", "not", "table"];
const kinds: readonly string[] = [...leaves, ...integers, ...booleans];

/** Soundness and decided shares of tile status. Takes about half a minute. */
async function tileStatusFigure({ progress }: FigureContext): Promise<Figure[]> {
  return [
    ...(await randomFigures(progress)),
    ...(await patternFigures(progress)),
    ...(await pairFigures(progress)),
  ];
}

export default tileStatusFigure;

async function randomFigures(progress: FigureContext["progress"]): Promise<Figure[]> {
  const total = emptyScore();
  const counts = new Map<string, number>();
  for (let index = 0; index < expressions; index++) {
    const expression = randomExpression({ seed: 1, index });
    countNodeKinds(expression, counts);
    add(total, scoreRandomTiles(expression, { seed: 2, index }));
    if (index % 2500 === 2499) {
      progress(`${index + 1} of ${expressions} random expressions, ${total.unsound} unsound tiles`);
      await new Promise(setImmediate);
    }
  }
  const drawn = kinds
    .map((kind) => ({ kind, count: counts.get(kind) ?? 0 }))
    .toSorted((a, b) => a.count - b.count);
  progress(`nodes: ${drawn.map(({ kind, count }) => `${kind} ${count}`).join(", ")}`);
  const fewest = drawn[0] ?? { kind: "none", count: 0 };
  return [
    unsoundFigure(`tile status: ${expressions} random expressions to depth 4`, total),
    {
      figure: "tile status: kinds of node in them",
      target: `all ${kinds.length}`,
      measured: `${drawn.filter(({ count }) => count > 0).length}, fewest: ${fewest.kind} ${fewest.count}`,
      held: fewest.count > 0,
    },
  ];
}

async function patternFigures(progress: FigureContext["progress"]): Promise<Figure[]> {
  const byName = new Map<string, AttentionPattern[]>();
  const name = (label: string, ...patterns: readonly AttentionPattern[]): void =>
    void byName.set(label, [...(byName.get(label) ?? []), ...patterns]);
  const cases = tileCases();
  for (const { name: label, pattern } of cases) name(label, pattern);
  const wide = globalTokens([0, 1, 2, 3, 4, 5, 6, 7]);
  name("or(sliding-window, global-tokens)", or(slidingWindow({ before: 20, after: 20 }), wide));
  name("or(sliding-window, global-tokens)", or(slidingWindow({ before: 63 }), globalTokens([0, 90])));
  name("and(causal, each)", ...cases.map(({ pattern }) => and(causal(), pattern)));
  const figures: Figure[] = [];
  for (const [label, patterns] of byName) {
    const ordered = emptyScore();
    const permuted = emptyScore();
    const moduli = new Set<number>();
    for (const pattern of patterns) {
      const score = scorePattern(pattern);
      add(ordered, score.ordered);
      add(permuted, score.permuted);
      for (const modulus of score.moduli) moduli.add(modulus);
    }
    figures.push(decidedFigure(`tile status: ${label}`, ordered));
    if (moduli.size > 0)
      figures.push(
        decidedFigure(`tile status: ${label}, grouped by residue mod ${[...moduli].join(", ")}`, permuted),
      );
    progress(`${label} measured`);
    await new Promise(setImmediate);
  }
  return figures;
}

async function pairFigures(progress: FigureContext["progress"]): Promise<Figure[]> {
  const cases = tileCases();
  const total = emptyScore();
  let [least, worst] = [1, "none"];
  for (const [at, { pattern: left }] of cases.entries()) {
    for (const { pattern: right } of cases.slice(at + 1))
      for (const joined of [and(left, right), or(left, right)]) {
        const score: PatternScore = scorePattern(joined);
        add(total, score.ordered);
        add(total, score.permuted);
        const share = Math.min(decidedShare(score.ordered), decidedShare(score.permuted));
        if (share < least) [least, worst] = [share, `${joined.name}(${left.name}, ${right.name})`];
      }
    progress(`pairs with ${left.name}: ${total.unsound} unsound tiles so far`);
    await new Promise(setImmediate);
  }
  const figure = unsoundFigure(`tile status: ${cases.length * (cases.length - 1)} and/or pairs`, total);
  return [{ ...figure, measured: `${figure.measured}; least ${percent(least)} (${worst})` }];
}

function unsoundFigure(figure: string, score: TileScore): Figure {
  const measured = `${score.unsound} of ${score.tiles} tiles; ${shareText(score)} decided`;
  return { figure, target: "0 unsound", measured, held: score.unsound === 0 && score.tiles > 0 };
}

function decidedFigure(figure: string, score: TileScore): Figure {
  return {
    figure,
    target: ">= 99 % decided, 0 unsound",
    measured: `${shareText(score)}, ${score.unsound} unsound`,
    held: score.unsound === 0 && score.decidable > 0 && decidedShare(score) >= 0.99,
  };
}

function shareText(score: TileScore): string {
  return `${percent(decidedShare(score))} of ${score.decidable}`;
}

/** Rounded down, so that 100 % means all. */
function percent(share: number): string {
  return `${(Math.floor(share * 10_000) / 100).toFixed(2)} %`;
}

function add(total: TileScore, score: TileScore): void {
  total.tiles += score.tiles;
  total.unsound += score.unsound;
  total.decidable += score.decidable;
  total.decided += score.decided;
}

if (import.meta.main)
  console.log(tableOf(await tileStatusFigure({ progress: (text) => console.error(text) })));
