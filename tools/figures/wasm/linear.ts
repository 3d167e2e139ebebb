// Linear layers on one thread against onnxruntime and the peak, and on two against one.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, NATIVE, TORCH, WEB, WIDE, againstRuntimes, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import { rateFigure, ratioFigure } from "./rows.ts";

const PEAK = "peak of multiply and add";
const twice = (name: string): string => `${name}, 2 threads`;

/** Layers of a stack. */
const LAYERS = 8;

/** Takes about two minutes. */
export default function linearFigure(context: FigureContext): Promise<Figure[]> {
  const alone = {
    ...ours(1),
    [twice(WIDE)]: { who: "heddle", threads: 2, wide: true },
    [twice(NARROW)]: { who: "heddle", threads: 2 },
  } as const;
  const entrants = { ...againstRuntimes(1), ...alone, [PEAK]: { who: "peak", threads: 1 } } as const;
  return withField(entrants, context, async (field) => {
    const figures: Figure[] = [];
    for (const [rows, into, out] of [
      [128, 768, 768],
      [512, 768, 3072],
    ] as const) {
      const figure = `linear ${rows}x${into}x${out}`;
      const spec = { kind: "linear", rows, widths: [into, out] } as const;
      // Some passes one after the other, as layers follow each other, then a pause: all are at their best so. After
      // seconds without one onnxruntime-web became several times slower, which is not what we mean to measure.
      const runtimes = await field.race(figure, spec, {
        who: Object.keys(againstRuntimes(1)),
        repeats: 21,
        passes: rows > 200 ? 2 : 16,
      });
      const against = (ours: string, theirs: string, atLeast?: number): Figure =>
        ratioFigure(runtimes, { figure, ours, theirs, ...(atLeast !== undefined && { atLeast }) });
      figures.push(against(WIDE, WEB, 3.3), against(WIDE, NATIVE, 0.9), against(NARROW, WEB, 1.7));
      figures.push(against(WIDE, TORCH));
      // Kernels only: results go into the next layer, every other one the other way round, since copying them out is
      // an eighth of a call of 128 rows. Long enough that waking threads does not count.
      const widths = Array.from({ length: LAYERS + 1 }, (_, i) => (i % 2 === 0 ? into : out));
      const stack = { kind: "linear", rows, widths } as const;
      const own = await field.race(`${LAYERS} layers of ${rows}x${into}x${out}`, stack, {
        who: [...Object.keys(alone), PEAK],
        repeats: 21,
        passes: rows > 200 ? 2 : 20,
      });
      figures.push(
        rateFigure(own, {
          figure,
          ours: NARROW,
          amount: (LAYERS * 2 * rows * into * out) / 1e9,
          unit: "GFLOP/s",
          probe: PEAK,
          atLeast: 0.85,
        }),
      );
      for (const theirs of [WIDE, NARROW])
        figures.push(ratioFigure(own, { figure, ours: twice(theirs), theirs, atLeast: 1.9 }));
    }
    return figures;
  });
}
