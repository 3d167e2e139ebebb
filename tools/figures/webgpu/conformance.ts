// Operations, patterns, mechanisms and models on WebGPU, against PyTorch's goldens and the definition of attention.
import {
  attentionDifferences,
  attentionGoldens,
  caseDifferences,
  drawAttention,
  drawAttributes,
  operationGoldens,
  patternSamples,
  readGolden,
} from "@heddle/conformance";
import type { Differences, GoldenTable } from "@heddle/conformance";
import { patternToJSON } from "@heddle/attention";
import type { Figure, FigureContext } from "../figure.ts";
import { onBackend, smallGoldensOn } from "../goldens.ts";

const LIMITS = { output: 1e-4, gradient: 1e-3 } as const;
const titles = { output: "outputs", gradient: "gradients, of the largest" } as const;

/** The worst of some cases. */
async function worstOf(
  title: string,
  cases: readonly (readonly [name: string, compare: () => Promise<Differences>])[],
): Promise<Figure[]> {
  const worst = { output: { difference: 0, at: "none" }, gradient: { difference: 0, at: "none" } };
  for (const [at, compare] of cases) {
    const found = await compare();
    for (const kind of ["output", "gradient"] as const)
      if (!(found[kind] <= worst[kind].difference)) worst[kind] = { difference: found[kind], at };
  }
  return (["output", "gradient"] as const).map((kind) => ({
    figure: `${title} on webgpu, ${cases.length} cases: ${titles[kind]}`,
    target: `<= ${LIMITS[kind].toExponential()}`,
    measured: `${worst[kind].difference.toExponential(2)} (${worst[kind].at})`,
    held: worst[kind].difference <= LIMITS[kind],
  }));
}

async function goldenFigures(title: string, path: string, table: GoldenTable): Promise<Figure[]> {
  const golden = await readGolden(new URL(`../../../packages/${path}.safetensors`, import.meta.url));
  const cases = Object.entries(table).flatMap(([name, compute]) =>
    typeof compute === "string" ? [] : [[name, () => caseDifferences(golden, name, compute)] as const],
  );
  return worstOf(title, cases);
}

const sizes = { batch: 2, heads: 4, keyHeads: 2, queries: 5, keys: 7, width: 3, valueWidth: 2 };

const patternFigures = (): Promise<Figure[]> =>
  worstOf(
    "attention with every pattern",
    patternSamples.map((pattern) => [
      JSON.stringify(patternToJSON(pattern)),
      () => {
        const attributes = drawAttributes(sizes.batch, sizes.queries, sizes.keys);
        return attentionDifferences(drawAttention(sizes, { pattern, attributes, queryOffset: [2, 1] }));
      },
    ]),
  );

/** Takes about two minutes in software. Longformer's mechanism is in its models. */
export default async function conformanceFigure(context: FigureContext): Promise<Figure[]> {
  const parts = await onBackend("webgpu", async () => [
    ...(await goldenFigures("operations", "core/src/operations/goldens/operations", operationGoldens)),
    ...(await goldenFigures("attention", "attention/src/goldens/attention", attentionGoldens)),
    ...(await patternFigures()),
  ]);
  context.progress("operations, attention and patterns measured");
  return [...parts, ...(await smallGoldensOn("webgpu")(context))];
}
