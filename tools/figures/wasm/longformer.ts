// Longformer-base at 4,096 tokens: our window against our dense attention and onnxruntime-web's, in time and heap.
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, WEB, WIDE, ours } from "./entrants.ts";
import { withField } from "./race.ts";
import type { Outcomes } from "./race.ts";
import { ratioFigure } from "./rows.ts";

/** A pass takes half a minute and more on one. */
const THREADS = 2;
const spec = { kind: "encoder", model: "longformer-base", batch: 1, length: 4096 } as const;
/** Tokens with which the heap is that of the weights. */
const FEW = 128;
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

/**
 * By how much the heap of one grows from few tokens to many, as a share of another's. Weights, and what loading them
 * leaves behind, are there with few.
 */
export function heapFigure(few: Outcomes, many: Outcomes, row: HeapRow): Figure {
  const { figure, ours: own, theirs, atMost } = row;
  const growthOf = (who: string): number | undefined => {
    const [less, more] = [few[who]!, many[who]!];
    if ("error" in less || "error" in more || less.heap === undefined || more.heap === undefined)
      return undefined;
    return more.heap - less.heap;
  };
  const [mine, other] = [growthOf(own), growthOf(theirs)];
  const text = (who: string, growth?: number): string =>
    growth === undefined ? `${who}: none known` : `${who} ${megabytes(growth)}`;
  const both = `${text(own, mine)}, ${text(theirs, other)}`;
  return {
    figure: `${figure}, heap of ${own} against ${theirs}`,
    target: `<= ${atMost}x`,
    measured: mine !== undefined && other ? `${(mine / other).toFixed(2)}x (${both})` : both,
    held: mine !== undefined && other !== undefined && mine <= atMost * other,
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
    const race = (length: number, repeats: number): Promise<Outcomes> => {
      const window = { ...spec, length };
      const specs = { [WIDE]: window, [NARROW]: window };
      const forms: Record<string, string> = form === undefined ? {} : { [WEB]: form };
      // The comparison of the values was a pass already.
      const title = `longformer-base at ${length}`;
      return field.race(title, { ...window, dense: true }, { specs, forms, repeats, warmUp: 0 });
    };
    const few = await race(FEW, 1);
    const outcomes = await race(spec.length, 2);
    return asked.flatMap(({ mode, dense: overDense, web }) => [
      ratioFigure(outcomes, { figure, ours: mode, theirs: dense(mode), atLeast: overDense }),
      heapFigure(few, outcomes, { figure, ours: mode, theirs: dense(mode), atMost: 1.1 }),
      ratioFigure(outcomes, { figure, ours: mode, theirs: WEB, atLeast: web }),
      heapFigure(few, outcomes, { figure, ours: mode, theirs: WEB, atMost: 0.25 }),
    ]);
  });
}
