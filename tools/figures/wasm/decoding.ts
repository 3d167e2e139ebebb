// A token of GPT-2 124M after 512 others: bound by reading the weights and the cache.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, NATIVE, TORCH, WEB, WIDE, againstRuntimes } from "./entrants.ts";
import { withField } from "./race.ts";
import { rateFigure, ratioFigure } from "./rows.ts";

const STREAM = "read bandwidth";
const PAST = 512;
/** Weights of the blocks and of the output layer, which is the table of words; a cache of 512; 4 bytes each. */
const GIGABYTES = (4 * (12 * 7_087_872 + 50_257 * 768 + 12 * 2 * PAST * 768)) / 1e9;

/** Takes about two minutes. */
export default function decodingFigure(context: FigureContext): Promise<Figure[]> {
  const entrants = { ...againstRuntimes(1), [STREAM]: { who: "stream", threads: 1 } } as const;
  return withField(entrants, context, async (field) => {
    const figure = `gpt2, a token after ${PAST}`;
    const outcomes = await field.race(
      figure,
      { kind: "decode", past: PAST },
      { repeats: 15, passes: 8, warmUp: 12 },
    );
    return [WIDE, NARROW].flatMap((ours) => [
      rateFigure(outcomes, {
        figure,
        ours,
        amount: GIGABYTES,
        unit: "GB/s",
        probe: STREAM,
        atLeast: 0.9,
      }),
      ratioFigure(outcomes, { figure, ours, theirs: WEB, atLeast: 1 }),
      ratioFigure(outcomes, { figure, ours, theirs: NATIVE }),
      ratioFigure(outcomes, { figure, ours, theirs: TORCH }),
    ]);
  });
}
