// What the first call costs: loading the module, calibrating and making the wide code, packing the weights.
import { openContender } from "../../bench/contender.ts";
import type { RemoteContender } from "../../bench/contender.ts";
import { modelsOf } from "../../bench/works.ts";
import type { WorkSpec } from "../../bench/works.ts";
import { saveModel } from "../../bench/saved-models.ts";
import type { Figure, FigureContext } from "../figure.ts";
import { NARROW, WIDE, ours } from "./entrants.ts";
import { printed } from "./rows.ts";

const smallest: WorkSpec = { kind: "linear", rows: 8, widths: [8, 8] };
const model: WorkSpec = { kind: "encoder", model: "bert-base", batch: 1, length: 128, padded: true };

/** Milliseconds of the first pass, and the least of some later ones. */
async function firstAndLater(contender: RemoteContender, spec: WorkSpec): Promise<[number, number]> {
  const work = await contender.prepare(spec);
  const first = await work.run(0);
  let later = Infinity;
  for (let pass = 0; pass < 5; pass++) later = Math.min(later, await work.run(0));
  await work.drop();
  return [first, later];
}

/** Takes about half a minute. */
export default async function firstCallFigure({ progress }: FigureContext): Promise<Figure[]> {
  for (const [name, seed] of modelsOf(model)) await saveModel(name, seed);
  const figures: Figure[] = [];
  for (const mode of [WIDE, NARROW]) {
    const contender = await openContender(ours(1)[mode]!);
    try {
      const [calibrated, small] = await firstAndLater(contender, smallest);
      const [packed, large] = await firstAndLater(contender, model);
      const times = {
        "the backend's start": contender.started,
        "calibration at the first kernel": calibrated - small,
        "packing 340 MB in BERT-base's first pass": packed - large,
      };
      for (const [figure, time] of Object.entries(times))
        figures.push(printed(`first call, ${mode}: ${figure}`, `${time.toFixed(0)} ms`));
      progress(`${mode}: ${contender.description}`);
    } finally {
      await contender.stop();
    }
  }
  return figures;
}
