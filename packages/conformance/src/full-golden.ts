/** Full-size goldens: weights by rule from a seed, outputs at some places only. */
import type { Tensor } from "@tensorflow/tfjs-core";
import { createWeights, randomStream, reject } from "@heddle/core";
import type { Model } from "@heddle/models";
import { largestDifference } from "./difference.ts";
import type { Golden } from "./golden.ts";
import { checkpointNameOf, goldenInputs } from "./model-golden.ts";
import type { GoldenFamily, OutputDifference } from "./model-golden.ts";

/** Half widths of the uniform distributions that a golden's weights come from. */
interface Scales {
  readonly weight: number;
  readonly bias: number;
  readonly norm: number;
}

/** What a full-size golden's metadata says of its weights; the rule in words is there too. */
interface WeightRule {
  readonly scales: Scales;
  readonly samples: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly indices: readonly number[];
    readonly values: readonly number[];
  }[];
}

const ruleOf = (golden: Golden): WeightRule => golden.info["weights"] as WeightRule;

const norms = ["ln_1", "ln_2", "ln_f", "LayerNorm", "layer_norm"];

function kindOf(name: string): keyof Scales {
  const [of = "", last] = name.split(".").slice(-2);
  if (last === "bias") return "bias";
  return norms.includes(of) ? "norm" : "weight";
}

/** Values of a parameter under its Hugging Face name, as tools/reference/parameters.py makes them. */
export function generatedValues(golden: Golden, name: string, size: number): Float32Array {
  const kind = kindOf(name);
  const scale = Math.fround(ruleOf(golden).scales[kind]);
  const values = randomStream({ seed: golden.info["seed"] as number, path: name }).uniforms(size);
  const shift = kind === "norm" ? 1 : 0;
  // A product of two float32 is exact in double precision, so each step rounds once, as NumPy's does.
  for (let i = 0; i < size; i++) values[i] = shift + Math.fround((2 * values[i]! - 1) * scale);
  return values;
}

/** The greatest difference of generated values from those that the golden lists: 0 when the generators agree. */
export function generatorDifference(golden: Golden): number {
  const { samples } = ruleOf(golden);
  return Math.max(
    ...samples.map(({ name, shape, indices, values }) => {
      const size = shape.reduce((product, length) => product * length, 1);
      const made = generatedValues(golden, name, size);
      return largestDifference(
        indices.map((at) => made[at]!),
        values,
      );
    }),
  );
}

/** A full-size golden's model with its weights. Dispose it. */
export function generatedModel(golden: Golden, settings: GoldenFamily): Model {
  const weights = createWeights();
  try {
    const config = golden.info["config"] as Readonly<Record<string, unknown>>;
    const model = settings.family.fromConfig(config, new Set(settings.heads), weights);
    for (const parameter of model.parameters)
      parameter.assign(generatedValues(golden, checkpointNameOf(parameter.name, settings), parameter.size));
    return model;
  } catch (error) {
    weights.dispose();
    throw error;
  }
}

/** Runs a full-size golden's model and compares its last hidden state and its logits at the golden's places. */
export async function placeDifferences(
  golden: Golden,
  model: Model,
  settings: GoldenFamily,
): Promise<readonly OutputDifference[]> {
  const out = model.forward(goldenInputs(golden, settings));
  const differ = async (output: string, tensor: Tensor): Promise<OutputDifference> => {
    const expected = golden.floats(`outputs/${output}`);
    const values = await tensor.data();
    const found = Float32Array.from(golden.integers(`places/${output}`), (at) => values[at] ?? NaN);
    return { output, difference: largestDifference(found, expected) };
  };
  try {
    if (!out.logits) return reject(`${model.family}: model`, "give logits", Object.keys(out));
    return [await differ("hidden", out.lastHiddenState), await differ("logits", out.logits)];
  } finally {
    out.dispose();
  }
}
