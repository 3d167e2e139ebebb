import type { Attention } from "@heddle/attention";
import { HeddleError, checkFields, checkOneOf, reject } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import { saveCheckpoint } from "@heddle/checkpoints";
import type { SaveLocation } from "@heddle/checkpoints";
import { attentionOf } from "./model.ts";
import type {
  CheckpointQuirks,
  FamilyDefinition,
  Model,
  ModelConfig,
  OriginalConfig,
  SaveOptions,
  PlainSwap,
  Swap,
} from "./model.ts";

/** Something with a name and options, as JSON. */
export interface NamedJson {
  readonly name: string;
  readonly [option: string]: unknown;
}

/** What `save` writes under the key `heddle` of config.json. */
export interface HeddleJson {
  /** One for all layers, or one each. */
  readonly attention?: NamedJson | readonly NamedJson[];
  readonly position?: NamedJson;
  readonly modifiers?: readonly NamedJson[];
  /** Names of the parameters in the file that neither of them uses now. */
  readonly kept?: readonly string[];
}

const named = ({ name, options }: { readonly name: string; readonly options: object }): NamedJson => ({
  name,
  ...options,
});

/** The attention of each layer as JSON, one for all when they are alike. */
function attentionJson(config: Pick<ModelConfig, "attention" | "layers">): NamedJson | readonly NamedJson[] {
  const all = Array.from({ length: config.layers }, (_, layer): Attention => attentionOf(config, layer)).map(
    named,
  );
  const texts = new Set(all.map((json) => JSON.stringify(json)));
  return texts.size === 1 ? all[0]! : all;
}

/** What config.json's own keys do not say: the attention and position that were swapped in. */
function heddleJson(config: ModelConfig, plain: PlainSwap): HeddleJson {
  const attention = attentionJson(config);
  const usual = attentionJson({ layers: config.layers, attention: plain.attention });
  const position = named(config.position);
  return {
    ...(JSON.stringify(attention) !== JSON.stringify(usual) && { attention }),
    ...(JSON.stringify(position) !== JSON.stringify(named(plain.position)) && { position }),
    ...(config.modifiers && config.modifiers.length > 0 && { modifiers: config.modifiers.map(named) }),
  };
}

/** A parameter's values; what 16-bit storage is widened to is freed. */
async function valuesOf(parameter: Parameter): Promise<Float32Array<ArrayBuffer>> {
  const tensor = parameter.tensor();
  const owned = parameter.storage !== "f32";
  try {
    return (await tensor.data()) as Float32Array<ArrayBuffer>;
  } finally {
    if (owned) tensor.dispose();
  }
}

/** A tree's name as checkpoints have it. */
function checkpointName(name: string, { prefix, unprefixed }: CheckpointQuirks): string {
  return unprefixed.some((head) => name.startsWith(head)) ? name : prefix + name;
}

const optionFields = [
  "tokenizer",
  "dtype",
  "maxShardBytes",
  "files",
  "metadata",
] as const satisfies readonly (keyof SaveOptions)[];

/**
 * Writes the model's whole tree, the parts that its present attention does not use among them.
 * @throws HeddleError `not-finite` for weights that hold NaN or an infinity, by name, before anything is written.
 */
export async function saveModel<C extends ModelConfig, O extends Swap>(
  definition: FamilyDefinition<C, O>,
  model: Pick<Model<C>, "config" | "weights" | "parameters">,
  original: OriginalConfig,
  location: SaveLocation,
  options: SaveOptions = {},
): Promise<void> {
  checkFields(`${definition.family}: save options`, options, optionFields);
  const { tokenizer, dtype = "F32", maxShardBytes, files, metadata } = options;
  if (tokenizer !== undefined && typeof tokenizer?.toJSON !== "function")
    reject(`${definition.family}: tokenizer`, "be a tokenizer", tokenizer);
  checkOneOf(`${definition.family}: dtype`, dtype, ["F32", "F16", "BF16"]);
  const { config, weights } = model;
  const used = new Set(model.parameters.map(({ name }) => name));
  const kept = [...weights.all.keys()].filter((name) => !used.has(name));
  const heddle: HeddleJson = {
    ...heddleJson(config, definition.plainSwap(config)),
    ...(kept.length > 0 && { kept }),
  };
  // transformers 5 calls torch_dtype dtype; the one that was read must not stay beside the one written.
  const { heddle: _, dtype: __, ...others } = original;
  await saveCheckpoint(location, {
    config: {
      ...others,
      ...definition.writeConfig(config),
      torch_dtype: { F32: "float32", F16: "float16", BF16: "bfloat16" }[dtype],
      ...(Object.keys(heddle).length > 0 && { heddle }),
    },
    tensors: [...weights.all.values()].map((parameter) => ({
      name: checkpointName(parameter.name, definition.quirks),
      dtype,
      shape: [...parameter.shape],
      values: async () => {
        const values = await valuesOf(parameter);
        const wrong = values.findIndex((value) => !Number.isFinite(value));
        if (wrong >= 0)
          throw new HeddleError(
            "not-finite",
            `${parameter.name}: value ${wrong} must be finite to be saved, got ${values[wrong]}`,
          );
        return values;
      },
    })),
    metadata: { format: "pt", ...metadata },
    files: { ...tokenizer?.toJSON(), ...files },
    ...(maxShardBytes !== undefined && { maxShardBytes }),
  });
}
