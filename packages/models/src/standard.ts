/** Heddle's own patterns, mechanisms, modifiers, positions and models by name, each imported when it is asked for. */
import type {
  AttentionPattern,
  BigBirdOptions,
  BlockTableOptions,
  DilatedOptions,
  DocumentsOptions,
  FixedOptions,
  GlobalTokensOptions,
  LongformerOptions as LongformerAttentionOptions,
  PrefixOptions,
  SlidingWindowOptions,
  SoftCapOptions,
  StridedOptions,
} from "@heddle/attention";
import { checkInteger, createWeights, definePlugin, reject } from "@heddle/core";
import type { EntryJson, Plugin, Registry } from "@heddle/core";
import type { RelativeBiasOptions, RotaryOptions, SinusoidalOptions } from "@heddle/positions";
import type { LoadableFamily, Model, Swap } from "./model.ts";
import { readSwap } from "./read-heddle.ts";
import type { SwapJson } from "./read-heddle.ts";

/** JSON of joined patterns may come from a file: bounded, so that reading and using it cannot recurse without end. */
const greatestNesting = 32;
const greatestOperands = 1024;

function checkNesting(json: unknown, depth: number): void {
  if (depth > greatestNesting)
    reject("registry: patterns", `be nested at most ${greatestNesting} deep`, depth, "invalid-data");
  const { of } = Object(json) as { readonly of?: unknown };
  for (const part of Array.isArray(of) ? of : [of]) if (part !== undefined) checkNesting(part, depth + 1);
}

/** The operands of a joined pattern. */
async function operands(json: { readonly of?: unknown }, registry: Registry): Promise<AttentionPattern[]> {
  const { of } = json;
  if (!Array.isArray(of) || of.length > greatestOperands)
    reject("registry: patterns: of", `be a list of at most ${greatestOperands} patterns`, of, "invalid-data");
  checkNesting(json, 1);
  return Promise.all(of.map((part: EntryJson) => registry.create("patterns", part)));
}

interface ModelJson extends SwapJson {
  /** Name of a preset, whose options the others replace. */
  readonly preset?: string;
  /** Seed of the first values. @default 0 */
  readonly seed?: number;
}

/** Builds a model with new weights from JSON: a preset, options over it, attention and position by name. */
async function fromPreset<O extends Swap>(
  family: LoadableFamily & ((options: O, weights: ReturnType<typeof createWeights>) => Model),
  presets: Readonly<Record<string, object>>,
  { preset, seed = 0, attention, position, modifiers, ...options }: ModelJson,
  registry: Registry,
): Promise<Model> {
  if (preset !== undefined && !Object.hasOwn(presets, preset))
    reject(
      `${family.family}: preset`,
      `be one of ${Object.keys(presets).join(", ")}`,
      preset,
      "invalid-data",
    );
  checkInteger(`${family.family}: seed`, seed, { min: 0 });
  const swap = await readSwap({ attention, position, modifiers }, registry);
  const chosen = preset === undefined ? {} : presets[preset];
  // The family checks every option that it reads.
  return family({ ...chosen, ...options, ...swap } as O, createWeights({ seed }));
}

/** What `createRegistry(standard)` knows. */
export const standard: Plugin = definePlugin({
  name: "standard",
  patterns: {
    and: async (json: { of?: unknown }, registry: Registry) =>
      (await import("@heddle/attention")).and(...(await operands(json, registry))),
    or: async (json: { of?: unknown }, registry: Registry) =>
      (await import("@heddle/attention")).or(...(await operands(json, registry))),
    not: async (json: { of: EntryJson }, registry: Registry) => {
      checkNesting(json, 1);
      return (await import("@heddle/attention")).not(await registry.create("patterns", json.of));
    },
    full: async () => (await import("@heddle/attention/patterns/full")).full(),
    causal: async () => (await import("@heddle/attention/patterns/causal")).causal(),
    padding: async () => (await import("@heddle/attention/patterns/padding")).padding(),
    documents: async (options: DocumentsOptions) =>
      (await import("@heddle/attention/patterns/documents")).documents(options),
    prefix: async (options: PrefixOptions) =>
      (await import("@heddle/attention/patterns/prefix")).prefix(options),
    "sliding-window": async (options: SlidingWindowOptions) =>
      (await import("@heddle/attention/patterns/sliding-window")).slidingWindow(options),
    dilated: async (options: DilatedOptions) =>
      (await import("@heddle/attention/patterns/dilated")).dilated(options),
    "global-tokens": async (options: GlobalTokensOptions) =>
      (await import("@heddle/attention/patterns/global-tokens")).globalTokens(options),
    strided: async (options: StridedOptions) =>
      (await import("@heddle/attention/patterns/strided")).strided(options),
    fixed: async (options: FixedOptions) => (await import("@heddle/attention/patterns/fixed")).fixed(options),
    "block-table": async (options: BlockTableOptions) =>
      (await import("@heddle/attention/patterns/block-table")).blockTable(options),
    "big-bird": async (options: BigBirdOptions) =>
      (await import("@heddle/attention/patterns/big-bird")).bigBird(options),
  },
  mechanisms: {
    longformer: async (options: LongformerAttentionOptions) =>
      (await import("@heddle/attention/mechanisms/longformer")).longformer(options),
  },
  modifiers: {
    "soft-cap": async (options: SoftCapOptions) =>
      (await import("@heddle/attention/modifiers/soft-cap")).softCap(options),
  },
  positions: {
    learned: async () => (await import("@heddle/positions/learned")).learned(),
    sinusoidal: async (options: SinusoidalOptions) =>
      (await import("@heddle/positions/sinusoidal")).sinusoidal(options),
    alibi: async () => (await import("@heddle/positions/alibi")).alibi(),
    rotary: async (options: RotaryOptions) => (await import("@heddle/positions/rotary")).rotary(options),
    "relative-bias": async (options: RelativeBiasOptions) =>
      (await import("@heddle/positions/relative-bias")).relativeBias(options),
  },
  models: {
    gpt: async (json: ModelJson, registry: Registry) => {
      const [{ gpt }, { gptPresets }] = await Promise.all([
        import("./gpt/gpt.ts"),
        import("./gpt/presets.ts"),
      ]);
      return fromPreset(gpt, gptPresets, json, registry);
    },
    bert: async (json: ModelJson, registry: Registry) => {
      const [{ bert }, { bertPresets }] = await Promise.all([
        import("./bert/bert.ts"),
        import("./bert/presets.ts"),
      ]);
      return fromPreset(bert, bertPresets, json, registry);
    },
    longformer: async (json: ModelJson, registry: Registry) => {
      const [{ longformer }, { longformerPresets }] = await Promise.all([
        import("./longformer/longformer.ts"),
        import("./longformer/presets.ts"),
      ]);
      return fromPreset(longformer, longformerPresets, json, registry);
    },
  },
});
