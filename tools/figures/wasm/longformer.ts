// Longformer-base at 4,096 tokens: our window against our dense attention and onnxruntime-web's, in time and heap.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, WEB, WIDE, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import type { Outcomes } from "./race.ts";
import { ratioFigure } from "./rows.ts";

/** A pass takes half a minute and more on one. */
const THREADS = 2;
const spec = { kind: "encoder", model: "longformer-base", batch: 1, length: 4096 } as const;
const dense = (name: string): string => `${name}, dense`;
/** How many times faster than our dense, and than onnxruntime-web. */
const asked = [
  { mode: WIDE, dense: 1.5, web: 4 },
  { mode: NARROW, dense: 1.4, web: 3 },
] as const;

/** The better form of onnxruntime-web, told by one layer: trials would leave their heap behind. */
function chooseForm(context: FigureContext): Promise<string | undefined> {
  const web = { [WEB]: { who: "onnxruntime-web", threads: THREADS } } as const;
  return withField(web, context, async (field) => {
    const outcome = (await field.race("one layer", { ...spec, layers: 1 }, { repeats: 1, warmUp: 0 }))[WEB]!;
    return "error" in outcome ? undefined : outcome.form?.split("; ")[0];
  });
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;

interface HeapRow {
  readonly figure: string;
  readonly ours: string;
  readonly theirs: string;
  readonly atMost: number;
}

/** By how much the heap of one grows, as a share of another's; the weights were there before. */
export function heapFigure(outcomes: Outcomes, { figure, ours: own, theirs, atMost }: HeapRow): Figure {
  const name = `${figure}, heap of ${own} against ${theirs}`;
  const target = `<= ${atMost}x`;
  const growths = [own, theirs].map((who) => {
    const outcome = outcomes[who]!;
    return "error" in outcome || !outcome.heap ? undefined : outcome.heap;
  });
  const measured = [own, theirs].map((who, i) => {
    const heap = growths[i];
    if (!heap) return `${who}: none known`;
    return `${who} grew by ${megabytes(heap.after - heap.before)} to ${megabytes(heap.after)}`;
  });
  const [mine, other] = growths;
  if (!mine || !other) return { figure: name, target, measured: measured.join(", "), held: false };
  const ratio = (mine.after - mine.before) / (other.after - other.before);
  return {
    figure: name,
    target,
    measured: `${ratio.toFixed(2)}x (${measured.join(", ")})`,
    held: ratio <= atMost,
  };
}

/** Takes about five minutes. */
export default async function longformerFigure(context: FigureContext): Promise<Figure[]> {
  const form = await chooseForm(context);
  const both = ours(THREADS);
  const entrants = {
    [dense(WIDE)]: both[WIDE]!,
    [dense(NARROW)]: both[NARROW]!,
    ...both,
    [WEB]: { who: "onnxruntime-web", threads: THREADS },
  } as const;
  return withField(entrants, context, async (field) => {
    const figure = `longformer-base at ${spec.length}, ${THREADS} threads`;
    const outcomes = await field.race(
      figure,
      { ...spec, dense: true },
      {
        specs: { [WIDE]: spec, [NARROW]: spec },
        ...(form !== undefined && { forms: { [WEB]: form } }),
        repeats: 2,
        warmUp: 0,
      },
    );
    return asked.flatMap(({ mode, dense: overDense, web }) => [
      ratioFigure(outcomes, { figure, ours: mode, theirs: dense(mode), atLeast: overDense }),
      heapFigure(outcomes, { figure, ours: mode, theirs: dense(mode), atMost: 1.1 }),
      ratioFigure(outcomes, { figure, ours: mode, theirs: WEB, atLeast: web }),
      heapFigure(outcomes, { figure, ours: mode, theirs: WEB, atMost: 0.25 }),
    ]);
  });
}
