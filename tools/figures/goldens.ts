// Models against what PyTorch computes, on each backend: the small goldens, and the full-size ones.
import { readdirSync } from "node:fs";
import { cpu } from "@heddle/backend-cpu";
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import {
  generatedModel,
  generatorDifference,
  goldenFamilies,
  goldenModel,
  gradientDifference,
  outputDifferences,
  placeDifferences,
  readGolden,
} from "@heddle/conformance";
import { startBackend } from "@heddle/core";
import type { GoldenFamily } from "@heddle/conformance";
import type { BackendStarter } from "@heddle/core";
import { ensureSoftwareGpu } from "../software-gpu/node.ts";
import type { Figure, FigureContext, Measurement } from "./figure.ts";
import { tableOf } from "./measure.ts";

type BackendName = "cpu" | "wasm" | "webgpu";

const starters: Readonly<Record<BackendName, () => Promise<BackendStarter>>> = {
  cpu: async () => cpu(),
  wasm: async () => wasm(),
  webgpu: async () => {
    await ensureSoftwareGpu();
    return webgpu();
  },
};
/** What is asked of outputs and of gradients. */
const limits = { cpu: [1e-5, 1e-4], wasm: [1e-5, 1e-4], webgpu: [1e-4, 1e-3] } as const;
/** What is asked of the outputs of a full-size model. */
const fullLimits = { cpu: 2e-4, wasm: 2e-4, webgpu: 1e-4 } as const;
const fullCases: Readonly<Record<string, string>> = {
  gpt: "gpt2-124m",
  bert: "bert-base",
  longformer: "longformer-base",
};

const folderOf = ({ family: { family } }: GoldenFamily): URL =>
  new URL(`../../packages/models/src/${family}/goldens/`, import.meta.url);

export async function onBackend<T>(name: BackendName, work: () => Promise<T>): Promise<T> {
  const backend = await startBackend(await starters[name]());
  try {
    return await work();
  } finally {
    await backend.dispose();
  }
}

function figure(name: string, limit: number, worst: number, where: string): Figure {
  return {
    figure: name,
    target: `<= ${limit.toExponential()}`,
    measured: `${worst.toExponential(2)} (${where})`,
    held: worst <= limit,
  };
}

async function smallFamily(settings: GoldenFamily, backend: BackendName): Promise<Figure[]> {
  const files = readdirSync(folderOf(settings)).filter((file) => !file.startsWith("full-"));
  let [output, outputAt] = [0, "none"];
  let [gradient, gradientAt] = [0, "none"];
  for (const file of files) {
    const golden = await readGolden(new URL(file, folderOf(settings)));
    const model = await goldenModel(golden, settings);
    const name = file.replace(".safetensors", "");
    for (const found of await outputDifferences(golden, model, settings))
      if (!(found.difference <= output)) [output, outputAt] = [found.difference, `${name} ${found.output}`];
    const difference = (await gradientDifference(golden, model, settings)) ?? 0;
    if (!(difference <= gradient)) [gradient, gradientAt] = [difference, name];
    model.dispose();
  }
  const title = `${settings.family.family} on ${backend}, ${files.length} small goldens`;
  const [forwardLimit, gradientLimit] = limits[backend];
  return [
    figure(`${title}: outputs`, forwardLimit, output, outputAt),
    figure(`${title}: gradients, of the largest`, gradientLimit, gradient, gradientAt),
  ];
}

/** The small goldens of all families on one backend. */
export function smallGoldensOn(backend: BackendName): Measurement {
  return ({ progress }) =>
    onBackend(backend, async () => {
      const figures: Figure[] = [];
      for (const settings of goldenFamilies) {
        figures.push(...(await smallFamily(settings, backend)));
        progress(`${settings.family.family} on ${backend} measured`);
      }
      return figures;
    });
}

/** The small goldens on all three backends: under a minute. */
const smallGoldens: Measurement = async (context: FigureContext) => {
  const figures: Figure[] = [];
  for (const backend of ["cpu", "wasm", "webgpu"] as const)
    figures.push(...(await smallGoldensOn(backend)(context)));
  return figures;
};

/** One full-size golden on one backend. Of length 1,100 on cpu it takes some ten minutes. */
export function fullGolden(family: string, length: 128 | 1100, backend: BackendName): Measurement {
  return async ({ progress }) => {
    const settings = goldenFamilies.find(({ family: { family: name } }) => name === family)!;
    const file = `full-${fullCases[family]}-${length}`;
    const golden = await readGolden(new URL(`${file}.safetensors`, folderOf(settings)));
    const generated = generatorDifference(golden);
    if (generated !== 0) throw new Error(`generated weights differ by ${generated}`);
    return onBackend(backend, async () => {
      const model = generatedModel(golden, settings);
      progress(`${model.parameterCount()} weights generated`);
      const found = await placeDifferences(golden, model, settings);
      model.dispose();
      return found.map(({ output, difference }) =>
        figure(`${family} on ${backend}, ${file}: ${output}`, fullLimits[backend], difference, "100 places"),
      );
    });
  };
}

export default smallGoldens;

if (import.meta.main) console.log(tableOf(await smallGoldens({ progress: (text) => console.error(text) })));
