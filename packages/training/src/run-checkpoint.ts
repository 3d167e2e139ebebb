/** A checkpoint of a run: the model's own directory, with the optimizer's moments and the position beside it. */
import * as tf from "@tensorflow/tfjs-core";
import { parseJsonObject } from "@heddle/checkpoints";
import type { Checkpoint, SafetensorsFile, SaveLocation, TensorEntry } from "@heddle/checkpoints";
import { HeddleError, checkInteger, reject, show } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import type { Optimizer } from "./optimizer.ts";
import { disposeState } from "./run-state.ts";
import type { OptimizerState, ParameterState } from "./run-state.ts";
import type { Trainable } from "./trainable.ts";

const momentsFile = "optimizer.safetensors";
const positionFile = "trainer.json";
/** What a run saves beside the model. */
export const runFiles: readonly string[] = [momentsFile, positionFile];
/** The key under which the weights' header has the number of the step: weights of another save lack it. */
const WEIGHTS_STEP = "step";
/** What stands behind a parameter's name for the number of its changes, as in PyTorch's state. */
const UPDATES = "step";

/** What a run depends on besides the model: a resumed run must have the same. Two levels of JSON. */
export type RunOptions = Readonly<Record<string, unknown>>;

/** A run between two steps. */
export interface RunPosition {
  /** The last step done. */
  readonly step: number;
  readonly state: OptimizerState;
}

/** Something that gives the texts of a tokenizer's files by name. */
export interface SavableTokenizer {
  toJSON(): Readonly<Record<string, string>>;
}

/**
 * Saves model, moments and position, all of it or nothing.
 * @throws HeddleError As `save` of the model does; the checkpoint that was there stays.
 */
export async function saveRun<Inputs>(
  location: SaveLocation,
  model: Trainable<Inputs>,
  optimizer: Optimizer,
  { step, state }: RunPosition,
  options: RunOptions,
  tokenizer: SavableTokenizer | undefined,
): Promise<void> {
  const tensors: TensorEntry[] = [...state].flatMap(([name, { moments, updates }]) => [
    ...moments.map((moment, i): TensorEntry => ({
      name: `${name}.${optimizer.moments[i]!}`,
      dtype: "F32",
      shape: [...moment.shape],
      values: async () => (await moment.data()) as Float32Array,
    })),
    { name: `${name}.${UPDATES}`, dtype: "I32", shape: [], values: Int32Array.of(updates) },
  ]);
  await model.save(location, {
    metadata: { [WEIGHTS_STEP]: String(step) },
    files: {
      ...tokenizer?.toJSON(),
      [momentsFile]: { tensors },
      [positionFile]: `${JSON.stringify({ format: 1, step, options }, null, 2)}\n`,
    },
  });
}

function plain(options: unknown): unknown {
  return JSON.parse(JSON.stringify(options) ?? "null");
}

function sameJson(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) =>
    sameJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}

/** Throws for the first option that differs, by its path. */
function checkOptions(path: string, now: unknown, then: unknown): void {
  if (sameJson(now, then)) return;
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (isObject(now) && isObject(then))
    for (const key of new Set([...Object.keys(then), ...Object.keys(now)]))
      checkOptions(`${path}.${key}`, now[key], then[key]);
  reject(`train: ${path}`, `be ${show(then)}, as when the checkpoint was saved, to resume`, now);
}

async function readPosition(checkpoint: Checkpoint, options: RunOptions): Promise<number> {
  const where = `${checkpoint.name}: ${positionFile}`;
  if (!(await checkpoint.has(positionFile)))
    throw new HeddleError("invalid-data", `${where} must be there to resume, got a checkpoint without it`);
  const json = parseJsonObject(where, await checkpoint.readText(positionFile));
  if (json["format"] !== 1) reject(`${where}: format`, "be 1", json["format"], "invalid-data");
  const { step } = json;
  if (!Number.isSafeInteger(step) || (step as number) < 1)
    reject(`${where}: step`, "be an integer >= 1", step, "invalid-data");
  if (typeof json["options"] !== "object" || json["options"] === null)
    reject(`${where}: options`, "be an object", json["options"], "invalid-data");
  for (const [key, then] of Object.entries(json["options"])) checkOptions(key, plain(options[key]), then);
  for (const key of Object.keys(options))
    if (!(key in json["options"]))
      reject(`${where}: options`, `have ${key}`, json["options"], "invalid-data");
  return step as number;
}

/**
 * Where each parameter is stored: under its name, or behind one prefix that is the same for all that have it
 * (`transformer.` in GPT-2's checkpoints).
 */
function storedNames(
  { name: where, tensors }: Checkpoint,
  parameters: readonly Parameter[],
): Map<Parameter, string> {
  const missing = (prefix: string): string[] =>
    parameters
      .filter(({ name }) => !tensors.has(name) && !tensors.has(prefix + name))
      .map(({ name }) => name);
  const unprefixed = new Set(missing(""));
  const prefixes = new Set([""]);
  for (const stored of tensors.keys())
    for (const name of unprefixed)
      if (stored.endsWith(`.${name}`)) prefixes.add(stored.slice(0, -name.length));
  const [prefix, lacking] = [...prefixes]
    .map((candidate) => [candidate, missing(candidate)] as const)
    .reduce((best, other) => (other[1].length < best[1].length ? other : best));
  if (lacking.length > 0)
    throw new HeddleError(
      "invalid-data",
      `${where}: the tensors must be those of the model to resume, got none for ${lacking.slice(0, 8).join(", ")}`,
    );
  const found = new Map(
    parameters.map((parameter) => [
      parameter,
      tensors.has(parameter.name) ? parameter.name : prefix + parameter.name,
    ]),
  );
  for (const [parameter, stored] of found) {
    const { shape } = tensors.get(stored)!;
    if (shape.join() !== parameter.shape.join())
      reject(`${where}: ${stored}`, `have the model's shape ${show(parameter.shape)}`, shape, "invalid-data");
  }
  return found;
}

/** Checks that the file holds moments of these parameters only, each with all of its parts. */
function checkMoments(file: SafetensorsFile, optimizer: Optimizer, parameters: readonly Parameter[]): void {
  const known = new Set<string>();
  for (const { name, shape } of parameters) {
    const parts = [...optimizer.moments, UPDATES].map((part) => `${name}.${part}`);
    const present = parts.filter((part) => file.tensors.has(part));
    if (present.length > 0 && present.length < parts.length)
      reject(`${file.name}: ${name}`, `have ${parts.join(", ")}`, present, "invalid-data");
    for (const part of present) {
      known.add(part);
      const { dtype, shape: stored } = file.tensors.get(part)!;
      const wanted = part === parts.at(-1) ? { dtype: "I32", shape: [] } : { dtype: "F32", shape };
      if (dtype !== wanted.dtype || stored.join() !== wanted.shape.join())
        reject(
          `${file.name}: ${part}`,
          `be ${wanted.dtype} ${show(wanted.shape)}`,
          `${dtype} ${show(stored)}`,
          "invalid-data",
        );
    }
  }
  const strange = [...file.tensors.keys()].find((name) => !known.has(name));
  if (strange !== undefined)
    reject(`${file.name}: tensors`, "be moments of the trainable parameters", strange, "invalid-data");
}

async function readState(
  file: SafetensorsFile,
  optimizer: Optimizer,
  { name, shape }: Parameter,
): Promise<ParameterState> {
  const counter = await file.read(`${name}.${UPDATES}`);
  const updates = Number(counter.values[0]);
  checkInteger(`${file.name}: ${name}.${UPDATES}`, updates, { min: 1 });
  const values: Float32Array[] = [];
  for (const moment of optimizer.moments)
    values.push((await file.read(`${name}.${moment}`, { as: "f32" })).values);
  return { updates, moments: values.map((moment) => tf.tensor(moment, [...shape], "float32")) };
}

async function readMoments(
  file: SafetensorsFile,
  optimizer: Optimizer,
  parameters: readonly Parameter[],
): Promise<OptimizerState> {
  const state: OptimizerState = new Map();
  try {
    checkMoments(file, optimizer, parameters);
    for (const parameter of parameters)
      if (file.tensors.has(`${parameter.name}.${UPDATES}`))
        state.set(parameter.name, await readState(file, optimizer, parameter));
    return state;
  } catch (error) {
    disposeState(state);
    throw error;
  }
}

/**
 * Puts the model's values back and gives moments and position. Checks names, shapes and options before.
 * @throws HeddleError `invalid-data` for a checkpoint that is not one of such a run, `invalid-argument` for options that
 * differ. After an error while reading the model holds some old and some new values: load it again.
 */
export async function restoreRun<Inputs>(
  checkpoint: Checkpoint,
  model: Trainable<Inputs>,
  optimizer: Optimizer,
  options: RunOptions,
): Promise<RunPosition> {
  const step = await readPosition(checkpoint, options);
  // What the model does not use now is put back too: the next save writes it again.
  const stored = storedNames(checkpoint, [...(model.weights?.all.values() ?? model.parameters)]);
  // The files of a run stay where only a model is saved over its own.
  if (checkpoint.metadata[WEIGHTS_STEP] !== String(step))
    throw new HeddleError(
      "invalid-data",
      `${checkpoint.name}: the weights must be those saved with ${positionFile} at step ${step} to resume, got weights that were saved without it`,
    );
  const file = await checkpoint.openTensors(momentsFile);
  try {
    const trainable = model.parameters.filter((parameter) => parameter.trainable);
    const state = await readMoments(file, optimizer, trainable);
    try {
      for (const [parameter, name] of stored)
        parameter.assign((await checkpoint.read(name, { as: "f32" })).values);
    } catch (error) {
      disposeState(state);
      throw error;
    }
    return { step, state };
  } finally {
    await file.close();
  }
}
