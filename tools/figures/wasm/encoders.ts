// BERT-base and MiniLM-L6 with padding, from ids to the last hidden state, against onnxruntime.
import type { EncoderSpec } from "../../bench/works.ts";
import type { Figure, FigureContext, Measurement } from "../figure.ts";
import { NARROW, NATIVE, TORCH, WEB, WIDE, againstRuntimes } from "./entrants.ts";
import { withField } from "./race.ts";
import type { Outcomes } from "./race.ts";
import { ratioFigure } from "./rows.ts";

interface Case extends Pick<EncoderSpec, "batch" | "length"> {
  /** Of one timing. @default 1 */
  readonly passes?: number;
}

function encoderFigures(
  model: EncoderSpec["model"],
  { threads, cases, repeats }: { threads: number; cases: readonly Case[]; repeats: number },
  rows: (outcomes: Outcomes, figure: string) => Figure[],
): Measurement {
  return (context: FigureContext) =>
    withField(againstRuntimes(threads), context, async (field) => {
      const figures: Figure[] = [];
      for (const { batch, length, passes } of cases) {
        const figure = `${model}, batch ${batch}, S ${length}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
        const spec = { kind: "encoder", model, batch, length, padded: true } as const;
        figures.push(...rows(await field.race(figure, spec, { repeats, warmUp: 2, passes }), figure));
      }
      return figures;
    });
}

const row =
  (outcomes: Outcomes, figure: string) =>
  (ours: string, theirs: string, atLeast?: number): Figure =>
    ratioFigure(outcomes, { figure, ours, theirs, ...(atLeast !== undefined && { atLeast }) });

/** Takes some minutes. */
export const bertFigure = (threads: number): Measurement =>
  encoderFigures(
    "bert-base",
    { threads, repeats: 5, cases: [128, 512].map((length) => ({ batch: 1, length })) },
    (outcomes, figure) => {
      const add = row(outcomes, figure);
      return [add(WIDE, WEB, 2.8), add(WIDE, NATIVE, 0.8), add(NARROW, WEB, 1.6), add(WIDE, TORCH)];
    },
  );

/** Takes a minute or two. */
const miniLmFigure: Measurement = encoderFigures(
  "minilm-l6",
  { threads: 1, repeats: 9, cases: [1, 8].map((batch) => ({ batch, length: 128, passes: 8 / batch })) },
  (outcomes, figure) => {
    const add = row(outcomes, figure);
    return [add(WIDE, WEB, 2.8), add(NARROW, WEB, 1.6), add(WIDE, NATIVE), add(WIDE, TORCH)];
  },
);

export default miniLmFigure;
