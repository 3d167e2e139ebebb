// Node 20, whose WebAssembly has no fused multiply-add: linear layers and BERT-base against onnxruntime-web.
import { findNodes } from "../../solo-install/commands.ts";
import { bundleContender } from "../../bench/bundle-contender.ts";
import type { Figure, FigureContext } from "../figure.ts";
import { WEB } from "./entrants.ts";
import { withField } from "./race.ts";
import { ratioFigure } from "./rows.ts";

const OURS = "plain SIMD";

/** HEDDLE_NODE20, else the first Node in PATH that is not npm's. @throws Error when that is no Node 20. */
function findNode20(): string {
  const given = process.env["HEDDLE_NODE20"];
  if (given !== undefined) return given;
  const found = findNodes().find(({ version }) => version.startsWith("v20."));
  if (!found) throw new Error("Node 20 must be in PATH or named by HEDDLE_NODE20, got none");
  return found.path;
}

/** Takes about two minutes. */
export default async function node20Figure(context: FigureContext): Promise<Figure[]> {
  const runtime = { node: findNode20(), file: await bundleContender() };
  const entrants = {
    [OURS]: { who: "heddle", threads: 1 },
    [WEB]: { who: "onnxruntime-web", threads: 1 },
  } as const;
  const bert = { kind: "encoder", model: "bert-base", batch: 1, padded: true } as const;
  const cases = {
    "linear 128x768x768": { kind: "linear", rows: 128, widths: [768, 768] },
    "linear 512x768x3072": { kind: "linear", rows: 512, widths: [768, 3072] },
    "bert-base, batch 1, S 128": { ...bert, length: 128 },
    "bert-base, batch 1, S 512": { ...bert, length: 512 },
  } as const;
  return withField(
    entrants,
    context,
    async (field) => {
      const figures: Figure[] = [];
      for (const [title, spec] of Object.entries(cases)) {
        const options = spec.kind === "linear" ? { repeats: 15, passes: 8 } : { repeats: 5, warmUp: 2 };
        const outcomes = await field.race(title, spec, options);
        const figure = `Node 20, ${title}`;
        figures.push(ratioFigure(outcomes, { figure, ours: OURS, theirs: WEB, atLeast: 1 }));
      }
      return figures;
    },
    runtime,
  );
}
