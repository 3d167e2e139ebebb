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
  const heapsOf = (who: string): readonly [less: number, more: number] | undefined => {
    const [less, more] = [few[who]!, many[who]!];
    if ("error" in less || "error" in more || less.heap === undefined || more.heap === undefined)
      return undefined;
    return [less.heap, more.heap];
  };
  const growthOf = (who: string): number | undefined => {
    const heaps = heapsOf(who);
    return heaps && heaps[1] - heaps[0];
  };
  const text = (who: string): string => {
    const heaps = heapsOf(who);
    return `${who} ${heaps ? heaps.map(megabytes).join(" to ") : "not known"}`;
  };
  const [mine, other] = [growthOf(own), growthOf(theirs)];
  const both = `${text(own)}, ${text(theirs)}`;
  return {
    figure: `${figure}, heap of ${own} against ${theirs}`,
    target: `<= ${atMost}x`,
    measured: mine !== undefined && other ? `${(mine / other).toFixed(2)}x (${both})` : both,
    held: mine !== undefined && other !== undefined && mine <= atMost * other,
  };
}

/** One mode of ours: both attentions and onnxruntime-web, since five heaps of gigabytes would be too many. */
function modeFigures(
  { mode, dense: overDense, web: overWeb }: (typeof asked)[number],
  form: string | undefined,
  context: FigureContext,
): Promise<Figure[]> {
  const settings = ours(THREADS)[mode]!;
  const all = dense(mode);
  const entrants = {
    [all]: settings,
    [mode]: settings,
    [WEB]: { who: "onnxruntime-web", threads: THREADS },
  } as const;
  const forms: Record<string, string> = form === undefined ? {} : { [WEB]: form };
  return withField(entrants, context, async (field) => {
    const race = (length: number, repeats: number): Promise<Outcomes> => {
      const window = { ...spec, length };
      const title = `longformer-base at ${length}`;
      // The comparison of the values was a pass already.
      const options = { specs: { [mode]: window }, forms, repeats, warmUp: 0 };
      return field.race(title, { ...window, dense: true }, options);
    };
    const few = await race(FEW, 1);
    const outcomes = await race(spec.length, 2);
    const figure = `longformer-base at ${spec.length}, ${THREADS} threads`;
    return [
      ratioFigure(outcomes, { figure, ours: mode, theirs: all, atLeast: overDense }),
      heapFigure(few, outcomes, { figure, ours: mode, theirs: all, atMost: 1.1 }),
      ratioFigure(outcomes, { figure, ours: mode, theirs: WEB, atLeast: overWeb }),
      heapFigure(few, outcomes, { figure, ours: mode, theirs: WEB, atMost: 0.25 }),
    ];
  });
}

/** Takes about eight minutes, most of it for onnxruntime-web. */
export default async function longformerFigure(context: FigureContext): Promise<Figure[]> {
  const form = await chooseForm(context);
  const figures: Figure[] = [];
  for (const row of asked) figures.push(...(await modeFigures(row, form, context)));
  return figures;
}
