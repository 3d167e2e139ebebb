// Sparse patterns against our own dense attention: how much faster at 4,096 tokens, and from which length on.
import { sparsePatterns } from "../../peers/sparse-patterns.ts";
import type { SparsePattern } from "../../peers/sparse-patterns.ts";
import type { WorkSpec } from "../../bench/works.ts";
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, WIDE, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import type { Entrants, Outcomes } from "./race.ts";
import { printed, ratioFigure } from "./rows.ts";

const LENGTH = 4096;
/** How many times faster each must be: 85 % of what the tiles bound the first two to (7.2x and 5.9x). */
const asked: Readonly<Record<SparsePattern, number>> = {
  "window 256 each side": 0.85 * 7.2,
  "BigBird, block 64, 3 random": 0.85 * 5.9,
  "dilated 4, 64 each side": 4,
  "strided 64": 4,
};
const patterns = Object.keys(sparsePatterns) as SparsePattern[];
const DENSE = "our dense";
const CAUSAL = "our dense causal";

/** Each of ours computes every pattern, in a process of its own. */
function entrantsOf(mode: string): Entrants {
  const settings = ours(1)[mode]!;
  return Object.fromEntries([DENSE, CAUSAL, ...patterns].map((name) => [name, settings]));
}

const specs = (length: number): Record<string, WorkSpec> => ({
  [CAUSAL]: { kind: "attention", length, isCausal: true },
  ...Object.fromEntries(
    patterns.map((pattern) => [pattern, { kind: "attention", length, pattern } as const]),
  ),
});

/** Takes about two minutes. */
export async function patternsFigure(context: FigureContext): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const mode of [WIDE, NARROW])
    await withField(entrantsOf(mode), context, async (field) => {
      const spec = { kind: "attention", length: LENGTH } as const;
      const outcomes = await field.race(`T ${LENGTH}, ${mode}`, spec, { specs: specs(LENGTH), repeats: 7 });
      for (const pattern of patterns) {
        const row = { figure: `T ${LENGTH}, ${mode}`, ours: pattern, theirs: DENSE };
        figures.push(ratioFigure(outcomes, { ...row, atLeast: Number(asked[pattern].toFixed(2)) }));
      }
      figures.push(
        ratioFigure(outcomes, { figure: `T ${LENGTH}, ${mode}`, ours: "strided 64", theirs: CAUSAL }),
      );
    });
  return figures;
}

const lengths = [128, 256, 512, 1024, 2048] as const;

/** What is less is noise. */
const CLEARLY = 1.05;

/** The shortest length from which on a pattern is clearly faster than dense at every longer one. */
export function crossover(byLength: ReadonlyMap<number, Outcomes>, pattern: string): number | undefined {
  let found: number | undefined;
  for (const [length, outcomes] of [...byLength].toSorted(([a], [b]) => b - a)) {
    const [sparse, dense] = [outcomes[pattern]!, outcomes[DENSE]!];
    if ("error" in sparse || "error" in dense || CLEARLY * sparse.median >= dense.median) break;
    found = length;
  }
  return found;
}

/** Takes about a minute. */
export async function crossoverFigure(context: FigureContext): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const mode of [WIDE, NARROW])
    await withField(entrantsOf(mode), context, async (field) => {
      const byLength = new Map<number, Outcomes>();
      for (const length of lengths) {
        const spec = { kind: "attention", length } as const;
        byLength.set(
          length,
          await field.race(`T ${length}, ${mode}`, spec, { specs: specs(length), repeats: 9 }),
        );
      }
      for (const pattern of patterns) {
        const length = crossover(byLength, pattern);
        const measured = length === undefined ? `at none of ${lengths.join(", ")}` : `from T ${length} on`;
        figures.push(printed(`${pattern}, ${mode}: faster than dense`, measured));
      }
    });
  return figures;
}
