// A step of training in nanoGPT's CPU settings, against the same over tfjs's operations.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, TFJS, TORCH, WIDE, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import { ratioFigure } from "./rows.ts";

/** Takes about a minute. */
export default function trainingFigure(context: FigureContext): Promise<Figure[]> {
  const entrants = {
    ...ours(1),
    [TFJS]: { who: "tfjs", threads: 1 },
    [TORCH]: { who: "pytorch", threads: 1 },
  } as const;
  return withField(entrants, context, async (field) => {
    const figure = "a step of nanoGPT's CPU settings";
    const outcomes = await field.race(figure, { kind: "training" }, { repeats: 21, warmUp: 5, passes: 4 });
    return [
      ratioFigure(outcomes, { figure, ours: WIDE, theirs: TFJS, atLeast: 5 }),
      ratioFigure(outcomes, { figure, ours: NARROW, theirs: TFJS, atLeast: 3 }),
      ratioFigure(outcomes, { figure, ours: WIDE, theirs: TORCH }),
      ratioFigure(outcomes, { figure, ours: NARROW, theirs: TORCH }),
    ];
  });
}
