// Dense attention, 12 heads of 64: forward against onnxruntime-web's better form, with gradients against tfjs's.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, TFJS, TORCH, WEB, WIDE, againstRuntimes, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import { ratioFigure } from "./rows.ts";

const cases = [512, 2048].flatMap((length) =>
  [false, true].map((isCausal) => ({
    title: `attention, T ${length}, ${isCausal ? "causal" : "full"}`,
    spec: { kind: "attention", length, isCausal } as const,
  })),
);

/** Takes about two minutes. */
export function forwardFigure(context: FigureContext): Promise<Figure[]> {
  return withField(againstRuntimes(1), context, async (field) => {
    const figures: Figure[] = [];
    for (const { title, spec } of cases) {
      const outcomes = await field.race(title, spec);
      const figure = `${title}, forward`;
      figures.push(
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: WEB, atLeast: 3 }),
        ratioFigure(outcomes, { figure, ours: NARROW, theirs: WEB, atLeast: 1.9 }),
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: TORCH }),
      );
    }
    return figures;
  });
}

/** Takes about two minutes. */
export function backwardFigure(context: FigureContext): Promise<Figure[]> {
  const entrants = {
    ...ours(1),
    [TFJS]: { who: "tfjs", threads: 1 },
    [TORCH]: { who: "pytorch", threads: 1 },
  } as const;
  return withField(entrants, context, async (field) => {
    const figures: Figure[] = [];
    for (const { title, spec } of cases) {
      const outcomes = await field.race(title, { ...spec, backward: true }, { repeats: 5, warmUp: 2 });
      const figure = `${title}, forward and backward`;
      figures.push(
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: TFJS, atLeast: 20 }),
        ratioFigure(outcomes, { figure, ours: NARROW, theirs: TFJS, atLeast: 10 }),
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: TORCH }),
      );
    }
    return figures;
  });
}
