// Dense attention, 12 heads of 64: forward against onnxruntime-web's better form, with gradients against tfjs's two.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, TORCH, WEB, WIDE, againstRuntimes, ours } from "./entrants.ts";
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

/** The two forms of tfjs: with whole batches of heads, as it is written, and its fast one. */
const BATCHED = "tfjs";
const HEADS_APART = "tfjs head by head";

/** Takes about four minutes, most of it for tfjs. */
export function backwardFigure(context: FigureContext): Promise<Figure[]> {
  const tfjs = { who: "tfjs", threads: 1 } as const;
  const entrants = {
    ...ours(1),
    [BATCHED]: tfjs,
    [HEADS_APART]: tfjs,
    [TORCH]: { who: "pytorch", threads: 1 },
  } as const;
  const forms = { [BATCHED]: "batched", [HEADS_APART]: "head by head" };
  return withField(entrants, context, async (field) => {
    const figures: Figure[] = [];
    for (const { title, spec } of cases) {
      // The comparison of the values was a pass already.
      const rounds = { repeats: spec.length > 1000 ? 2 : 7, warmUp: 0 };
      const outcomes = await field.race(title, { ...spec, backward: true }, { forms, ...rounds });
      const figure = `${title}, forward and backward`;
      figures.push(
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: BATCHED, atLeast: 20 }),
        ratioFigure(outcomes, { figure, ours: NARROW, theirs: BATCHED, atLeast: 10 }),
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: HEADS_APART }),
        ratioFigure(outcomes, { figure, ours: NARROW, theirs: HEADS_APART }),
        ratioFigure(outcomes, { figure, ours: WIDE, theirs: TORCH }),
      );
    }
    return figures;
  });
}
