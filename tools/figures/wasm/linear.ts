// Linear layers on one thread against onnxruntime and the peak, and on two against one.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, NATIVE, TORCH, WEB, WIDE, againstRuntimes } from "./entrants.ts";
import { withField } from "./race.ts";
import { rateFigure, ratioFigure } from "./rows.ts";

const PEAK = "peak of multiply and add";
const twice = (name: string): string => `${name}, 2 threads`;

/** Takes about a minute. */
export default function linearFigure(context: FigureContext): Promise<Figure[]> {
  const entrants = {
    ...againstRuntimes(1),
    [twice(WIDE)]: { who: "heddle", threads: 2, wide: true },
    [twice(NARROW)]: { who: "heddle", threads: 2 },
    [PEAK]: { who: "peak", threads: 1 },
  } as const;
  return withField(entrants, context, async (field) => {
    const figures: Figure[] = [];
    for (const [rows, into, out] of [
      [128, 768, 768],
      [512, 768, 3072],
    ] as const) {
      const figure = `linear ${rows}x${into}x${out}`;
      const outcomes = await field.race(
        figure,
        { kind: "linear", rows, widths: [into, out] },
        { repeats: 21, passes: rows > 200 ? 4 : 32 },
      );
      const row = (ours: string, theirs: string, atLeast?: number): Figure =>
        ratioFigure(outcomes, { figure, ours, theirs, ...(atLeast !== undefined && { atLeast }) });
      figures.push(row(WIDE, WEB, 3.3), row(WIDE, NATIVE, 0.9), row(NARROW, WEB, 1.7));
      figures.push(
        rateFigure(outcomes, {
          figure,
          ours: NARROW,
          amount: (2 * rows * into * out) / 1e9,
          unit: "GFLOP/s",
          probe: PEAK,
          atLeast: 0.85,
        }),
      );
      for (const name of [WIDE, NARROW]) figures.push(row(twice(name), name, 1.9));
      figures.push(row(WIDE, TORCH));
    }
    return figures;
  });
}
