import { openCheckpoint } from "@heddle/checkpoints";
import type { Checkpoint, CheckpointLocation, StoredTensor } from "@heddle/checkpoints";
import {
  HeddleError,
  checkFields,
  checkOneOf,
  checkSignal,
  createRegistry,
  createWeights,
  reject,
  show,
  widenBF16,
  widenF16,
} from "@heddle/core";
import type { Registry, WeightTree } from "@heddle/core";
import { loadTokenizer } from "@heddle/tokenizers";
import type { Tokenizer } from "@heddle/tokenizers";
import type { CheckpointQuirks, LoadableFamily, Model, Swap } from "./model.ts";
import { readHeddleJson } from "./read-heddle.ts";
import { standard } from "./standard.ts";

export interface LoadOptions {
  /** The families that may be built; nobody pays for others. */
  readonly families: readonly LoadableFamily[];
  /** Where the names of attentions and positions under config.json's key `heddle` are looked up. @default the standard ones */
  readonly registry?: Registry;
  /**
   * `"f32"` widens 16-bit weights once; `"stored"` keeps matrices of them as they are in the file, at half of the memory
   * and for inference only: WebGPU's kernels read them so, other backends widen them at each use. @default "f32"
   */
  readonly storage?: "f32" | "stored";
  /** Ends the loading; nothing of it stays. */
  readonly signal?: AbortSignal;
}

/** What a directory held; the caller disposes the model. */
export interface LoadedModel {
  readonly model: Model;
  /** From tokenizer.json, where there is one. */
  readonly tokenizer?: Tokenizer;
}

/** A checkpoint's name in the tree's form. */
function treeName(name: string, { prefix, renamed = [] }: CheckpointQuirks): string {
  const plain = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return renamed.reduce((current, [old, today]) => current.replace(old, today), plain);
}

/** The checkpoint's names by the tree's. */
function treeNames(checkpoint: Checkpoint, quirks: CheckpointQuirks): Map<string, string> {
  const names = new Map<string, string>();
  for (const stored of checkpoint.tensors.keys()) {
    const name = treeName(stored, quirks);
    const other = names.get(name);
    if (other !== undefined)
      throw new HeddleError(
        "invalid-data",
        `${checkpoint.name}: ${stored} must not stand for the same parameter as ${other}`,
      );
    names.set(name, stored);
  }
  return names;
}

/** Tensors that fit, by the tree's name; throws for all that is missing, unused or misshapen at once. */
function match(
  checkpoint: Checkpoint,
  weights: WeightTree,
  names: ReadonlyMap<string, string>,
  quirks: CheckpointQuirks,
): void {
  const found = [...names];
  const list = (title: string, items: readonly string[]): string =>
    items.length === 0
      ? ""
      : ` ${items.length} ${title}: ${items.slice(0, 8).join(", ")}${items.length > 8 ? ", ..." : ""}.`;
  const needed = [...weights.declared.values()];
  const missing = needed.filter(({ name }) => !names.has(name)).map(({ name }) => name);
  const unused = found
    .filter(([name]) => !weights.declared.has(name) && !quirks.ignored.some((rule) => rule.test(name)))
    .map(([, stored]) => stored);
  const misshapen = needed.flatMap(({ name, shape }) => {
    const stored = names.get(name);
    const info = stored === undefined ? undefined : checkpoint.tensors.get(stored)!;
    return info && info.shape.join() !== shape.join()
      ? [`${stored} must be ${show(shape)}, got ${show(info.shape)}`]
      : [];
  });
  const wrongType = needed.flatMap(({ name }) => {
    const stored = names.get(name);
    const dtype = stored === undefined ? undefined : checkpoint.tensors.get(stored)!.dtype;
    return dtype && !["F32", "F16", "BF16"].includes(dtype) ? [`${stored} is ${dtype}`] : [];
  });
  const said =
    list("missing", missing) +
    list("unused", unused) +
    list("of the wrong shape", misshapen) +
    list("that are no floats", wrongType);
  if (said)
    throw new HeddleError(
      "invalid-data",
      `${checkpoint.name}: the tensors must be those of the model in config.json.${said}`,
    );
}

/** Reads the tensors forwards, each straight into its parameter. */
async function fill(
  checkpoint: Checkpoint,
  weights: WeightTree,
  names: ReadonlyMap<string, string>,
  { signal, storage = "f32" }: Pick<LoadOptions, "signal" | "storage">,
): Promise<void> {
  const targets = new Map([...names].map(([name, stored]) => [stored, name]));
  for (const stored of checkpoint.tensors.keys()) {
    signal?.throwIfAborted();
    const parameter = weights.declared.get(targets.get(stored) ?? "");
    if (!parameter) continue;
    const tensor = await checkpoint.read(stored);
    const values = asFloats(tensor);
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0)
      throw new HeddleError(
        "not-finite",
        `${checkpoint.name}: ${stored} must hold finite numbers, got ${values[wrong]} at ${wrong}`,
      );
    // Vectors take little memory, and no kernel reads them in 16 bits.
    if (storage === "f32" || tensor.dtype === "F32" || parameter.shape.length < 2) parameter.assign(values);
    else parameter.assignHalf(tensor.dtype === "F16" ? "f16" : "bf16", tensor.values as Uint16Array);
  }
}

/** Reads some parameters again, from what is at the location now. */
async function refill(
  location: CheckpointLocation,
  quirks: CheckpointQuirks,
  weights: WeightTree,
  wanted: ReadonlySet<string>,
  { storage }: Pick<LoadOptions, "storage">,
): Promise<void> {
  const checkpoint = await openCheckpoint(location);
  try {
    const names = treeNames(checkpoint, quirks);
    match(checkpoint, weights, names, quirks);
    await fill(checkpoint, weights, new Map([...names].filter(([name]) => wanted.has(name))), { storage });
  } finally {
    await checkpoint.close();
  }
}

/** The values as float32; that they are floats was checked before. */
function asFloats(tensor: StoredTensor): Float32Array {
  if (tensor.dtype === "F16") return widenF16(tensor.values);
  return tensor.dtype === "BF16" ? widenBF16(tensor.values) : (tensor.values as Float32Array);
}

function familyOf(checkpoint: Checkpoint, families: readonly LoadableFamily[]): LoadableFamily {
  const { model_type: type } = checkpoint.config;
  const family = families.find(({ modelType }) => modelType === type);
  if (family) return family;
  const known = families.map(({ modelType, family: name }) => `${modelType} (${name})`).join(", ");
  throw new HeddleError(
    "unsupported",
    `${checkpoint.name}: config.json: model_type must be one of ${known || "none, since no families were given"}, got ${show(type)}; give loadModel the family that builds it`,
  );
}

/** The model that config.json describes; what the family says of its options is said of the file. */
function modelOf(
  family: LoadableFamily,
  { name, config }: Checkpoint,
  names: ReadonlySet<string>,
  weights: WeightTree,
  swap: Swap,
): Model {
  try {
    return family.fromConfig(config, names, weights, swap);
  } catch (error) {
    if (!(error instanceof HeddleError) || error.code !== "invalid-argument") throw error;
    throw new HeddleError("invalid-data", `${name}: config.json: ${error.message}`, { cause: error });
  }
}

/**
 * Loads a Hugging Face directory: a path or URL, or files in a map. Tensors are read forwards, one at a time. The model
 * remembers the location: `backend.recover()` reads it again after the device was lost.
 *
 * @throws HeddleError `invalid-data` for a config or weights that do not fit (all missing, unused and misshapen names
 * at once), `not-finite` for weights with NaN (named), `io`, `unsupported`. Nothing stays allocated then.
 */
export async function loadModel(location: CheckpointLocation, options: LoadOptions): Promise<LoadedModel> {
  checkFields("loadModel: options", options, ["families", "registry", "storage", "signal"]);
  if (!Array.isArray(options.families))
    reject("loadModel: families", "be a list of families, [gpt] for example", options.families);
  const { families, registry = createRegistry(standard), signal } = options;
  checkOneOf("loadModel: storage", options.storage ?? "f32", ["f32", "stored"]);
  checkSignal("loadModel: signal", signal);
  signal?.throwIfAborted();
  const checkpoint = await openCheckpoint(location, signal && { signal });
  const weights = createWeights();
  try {
    const family = familyOf(checkpoint, families);
    const names = treeNames(checkpoint, family.quirks);
    const { kept, ...swap } = await readHeddleJson(checkpoint.config, registry);
    const model = modelOf(family, checkpoint, new Set(names.keys()), weights, swap);
    for (const name of kept) {
      const info = checkpoint.tensors.get(names.get(name) ?? "");
      if (!info)
        reject(
          `${checkpoint.name}: config.json: heddle.kept`,
          "name tensors of the file",
          name,
          "invalid-data",
        );
      if (!weights.has(name)) weights.parameter(name, { shape: info.shape });
    }
    match(checkpoint, weights, names, family.quirks);
    await fill(checkpoint, weights, names, options);
    weights.setSource((wanted) => refill(location, family.quirks, weights, wanted, options));
    const tokenizer = await readTokenizer(checkpoint);
    return { model, ...(tokenizer && { tokenizer }) };
  } catch (error) {
    weights.dispose();
    throw error;
  } finally {
    await checkpoint.close();
  }
}

async function readTokenizer(checkpoint: Checkpoint): Promise<Tokenizer | undefined> {
  if (!(await checkpoint.has("tokenizer.json"))) return undefined;
  const config = (await checkpoint.has("tokenizer_config.json"))
    ? await checkpoint.readText("tokenizer_config.json")
    : "{}";
  return loadTokenizer(await checkpoint.readText("tokenizer.json"), config);
}
