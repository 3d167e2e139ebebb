import * as tf from "@tensorflow/tfjs-core";
import { checkSaveLocation, findCheckpoint } from "@heddle/checkpoints";
import type { CheckpointLocation, SaveLocation } from "@heddle/checkpoints";
import {
  HeddleError,
  breathe,
  checkFields,
  checkInteger,
  checkNumber,
  checkSignal,
  reject,
} from "@heddle/core";
import type { Parameter } from "@heddle/core";
import { batchList, evaluate } from "./evaluate.ts";
import { clipFactor, firstNotFinite, stepGradients } from "./gradients.ts";
import type { MicroBatch } from "./gradients.ts";
import { labelLoss, scalarLoss } from "./loss.ts";
import type { Loss } from "./loss.ts";
import type { Optimizer } from "./optimizer.ts";
import { measureProgress } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { restoreRun, runFiles, saveRun } from "./run-checkpoint.ts";
import type { RunOptions, RunPosition, SavableTokenizer } from "./run-checkpoint.ts";
import { applyGradients, disposeState } from "./run-state.ts";
import type { OptimizerState } from "./run-state.ts";
import { countLabels } from "./trainable.ts";
import type { Batch, BatchList, BatchSource, Trainable } from "./trainable.ts";

export interface TrainOptions<M, B> {
  readonly batches: BatchSource<B>;
  readonly optimizer: Optimizer;
  /** Number of the last step; a resumed run does those that are left. */
  readonly steps: number;
  /** Batches a step, of which only one at a time is computed. @default 1 */
  readonly accumulate?: number;
  /** Greatest norm of all gradients together; greater ones are scaled down. @default no limit */
  readonly clip?: number;
  /** Of dropout. @default 0 */
  readonly seed?: number;
  /** @default mean cross-entropy of the logits against the labels */
  readonly loss?: Loss<M, B>;
  /** Gives the loss over other batches, every so many steps and after the last one. */
  readonly evaluate?: { readonly every: number; readonly batches: readonly B[] | BatchList<B> };
  /** Saves model, optimizer and position, every so many steps and after the last one; whole or not at all. */
  readonly checkpoint?: {
    readonly directory: SaveLocation;
    readonly every: number;
    readonly tokenizer?: SavableTokenizer;
  };
  /**
   * Goes on where a checkpoint ended, with the same losses to the last bit, for a model built as it was: dropout and
   * attention without parameters of their own are not compared. True: the one in the checkpoint's
   * directory, or from the beginning where the directory is not there, is empty or has files of others only. A location: the one there.
   * @default false
   */
  readonly resume?: boolean | CheckpointLocation;
  /** Ends the run between two steps with the signal's reason; what was saved stays. */
  readonly signal?: AbortSignal;
  /** A clock in milliseconds. @default performance.now */
  readonly now?: () => number;
}

/** What a step gives. */
export interface TrainStep extends Progress {
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  /** Mean over the labels that count, before the change. */
  readonly loss: number;
  readonly learningRate: number;
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Labels in this step's batches, those that do not count among them. */
  readonly tokens: number;
  /** In steps that evaluate. */
  readonly validationLoss?: number;
}

/** A run that was checked. */
interface Run<M, B> {
  readonly model: M;
  readonly options: TrainOptions<M, B>;
  readonly loss: Loss<M, B>;
  readonly accumulate: number;
  readonly seed: number;
  readonly parameters: readonly Parameter[];
}

const optionFields = [
  "batches",
  "optimizer",
  "steps",
  "accumulate",
  "clip",
  "seed",
  "loss",
  "evaluate",
  "checkpoint",
  "resume",
  "signal",
  "now",
] as const satisfies readonly (keyof TrainOptions<unknown, unknown>)[];

function check<M, B>(options: TrainOptions<M, B>): void {
  checkFields("train: options", options, optionFields);
  const { batches, optimizer, steps, accumulate = 1, seed = 0, clip } = options;
  const { evaluate: validation, checkpoint, resume = false, loss = labelLoss } = options;
  checkSignal("train: signal", options.signal);
  // A list has an `at` too, which counts from 0 and comes to an end.
  if (typeof batches?.at !== "function" || Array.isArray(batches))
    reject("train: batches", "be a source, tokenWindows(ids, { length, batch }) for example", batches);
  if (typeof optimizer?.update !== "function")
    reject("train: optimizer", "be an optimizer, adamw({ learningRate }) for example", optimizer);
  if (typeof loss !== "function") reject("train: loss", "be a function", loss);
  checkInteger("train: steps", steps, { min: 1 });
  checkInteger("train: accumulate", accumulate, { min: 1 });
  checkInteger("train: seed", seed, { min: 0 });
  if (clip !== undefined) checkNumber("train: clip", clip, { min: Number.MIN_VALUE });
  if (validation !== undefined) {
    checkFields("train: evaluate", validation, ["every", "batches"]);
    checkInteger("train: evaluate.every", validation.every, { min: 1 });
    batchList("train: evaluate.batches", validation.batches);
  }
  if (checkpoint !== undefined) {
    checkFields("train: checkpoint", checkpoint, ["directory", "every", "tokenizer"]);
    const { directory, every, tokenizer } = checkpoint;
    checkSaveLocation("train: checkpoint.directory", directory);
    checkInteger("train: checkpoint.every", every, { min: 1 });
    if (tokenizer !== undefined && typeof tokenizer?.toJSON !== "function")
      reject("train: checkpoint.tokenizer", "be a tokenizer", tokenizer);
  }
  if (resume === true && !checkpoint)
    reject("train: resume", "be a directory where no checkpoint is given", resume);
}

/** What a resumed run must have in common. */
function runOptions<M, B>({ options, accumulate, seed }: Run<M, B>): RunOptions {
  const { optimizer, batches, clip = null } = options;
  const { name, options: given, learningRate } = optimizer;
  return {
    seed,
    accumulate,
    clip,
    optimizer: { name, ...given },
    learningRate: { name: learningRate.name, ...learningRate.options },
    batches: batches.options ?? {},
  };
}

async function begin<M extends Trainable<unknown>, B>(run: Run<M, B>): Promise<RunPosition> {
  const { resume = false, checkpoint, optimizer } = run.options;
  if (resume === false) return { step: 0, state: new Map() };
  const location = resume === true ? checkpoint!.directory : resume;
  const opened = await findCheckpoint(location, { beside: runFiles });
  if (!opened) {
    if (resume === true) return { step: 0, state: new Map() };
    reject("train: resume", "be a directory with a checkpoint", String(resume), "io");
  }
  try {
    return await restoreRun(opened, run.model, optimizer, runOptions(run));
  } finally {
    await opened.close();
  }
}

/** The batches of a step, weighted by their labels that count. */
async function gather<M, B extends Batch<unknown>>(
  { model, options, loss, accumulate, seed }: Run<M, B>,
  step: number,
): Promise<{ parts: MicroBatch[]; tokens: number }> {
  const batches: B[] = [];
  for (let micro = 0; micro < accumulate; micro++) batches.push(await options.batches.at(step, micro));
  const counts = batches.map((batch) => countLabels(`train: labels of step ${step}`, batch));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) reject(`train: labels of step ${step}`, "count at least once", total);
  const parts = batches.flatMap((batch, micro): MicroBatch[] => {
    if (counts[micro] === 0) return [];
    // Every batch has dropout of its own.
    const training = { seed, step: (step - 1) * accumulate + micro + 1 };
    return [{ share: counts[micro]! / total, loss: () => scalarLoss(loss, model, batch, { training }) }];
  });
  return { parts, tokens: batches.reduce((sum, { labels }) => sum + labels.length, 0) };
}

/** One step: gradients, their check, and the change. Parameters stay as they were unless the optimizer itself throws. */
async function doStep<M, B extends Batch<unknown>>(
  run: Run<M, B>,
  step: number,
  state: OptimizerState,
): Promise<Pick<TrainStep, "loss" | "learningRate" | "gradientNorm" | "tokens">> {
  const { options, parameters } = run;
  const { optimizer, clip } = options;
  const learningRate = optimizer.learningRate.at(step);
  checkNumber(`train: learningRate of step ${step}`, learningRate, { min: 0 });
  const { parts, tokens } = await gather(run, step);
  const computed = stepGradients(parameters, parts);
  try {
    const [loss, norm] = await Promise.all([computed.loss.data(), computed.norm.data()]);
    const [lossValue, gradientNorm] = [loss[0]!, norm[0]!];
    if (!Number.isFinite(lossValue) || !Number.isFinite(gradientNorm)) {
      const first = await firstNotFinite(parameters, computed.gradients);
      const where = first === undefined ? "" : `; the first gradient that is not finite is that of ${first}`;
      throw new HeddleError(
        "not-finite",
        `train: loss and gradients of step ${step} must be finite, got loss ${lossValue} and gradient norm ${gradientNorm}${where}`,
      );
    }
    applyGradients(optimizer, state, parameters, computed.gradients, {
      factor: clipFactor(gradientNorm, clip),
      learningRate,
    });
    return { loss: lossValue, learningRate, gradientNorm, tokens };
  } finally {
    tf.dispose([
      computed.loss,
      computed.norm,
      ...computed.gradients.filter((gradient) => gradient !== undefined),
    ]);
  }
}

async function* runSteps<M extends Trainable<B["inputs"]>, B extends Batch<unknown>>(
  run: Run<M, B>,
): AsyncGenerator<TrainStep, void, undefined> {
  const { model, options, loss } = run;
  const {
    steps,
    evaluate: validation,
    checkpoint,
    optimizer,
    signal,
    now = () => performance.now(),
  } = options;
  signal?.throwIfAborted();
  const backend = tf.getBackend();
  const { step: done, state } = await begin(run);
  try {
    const progress = measureProgress(now);
    for (let step = done + 1; step <= steps; step++) {
      signal?.throwIfAborted();
      if (tf.getBackend() !== backend)
        reject("train: backend", `stay ${backend} for the whole run`, tf.getBackend(), "invalid-state");
      progress.begin();
      const result = await doStep(run, step, state);
      const speed = progress.end(result.tokens, steps - step);
      await breathe();
      const due = (every: number | undefined): boolean =>
        every !== undefined && (step % every === 0 || step === steps);
      const validated =
        validation && due(validation.every)
          ? await evaluate(model, validation.batches, { loss, ...(signal && { signal }) })
          : undefined;
      if (checkpoint && due(checkpoint.every))
        await saveRun(
          checkpoint.directory,
          model,
          optimizer,
          { step, state },
          runOptions(run),
          checkpoint.tokenizer,
        );
      yield { step, steps, ...result, ...speed, ...(validated && { validationLoss: validated.loss }) };
    }
  } finally {
    disposeState(state);
  }
}

/**
 * Trains a model, step by step: `for await (const { step, loss } of train(model, options)) …`. However the loop ends
 * (done, `break`, the signal, an error), nothing of it stays allocated; the model keeps its last values.
 *
 * @throws HeddleError `invalid-argument` at once for options out of range; while running `not-finite` for a loss or
 * gradient that is NaN or infinite (the step and the parameter are named, the parameters not changed), `invalid-state`
 * for another active backend, `io` for a checkpoint that cannot be written, and the signal's reason.
 */
export function train<M extends Trainable<B["inputs"]>, B extends Batch<unknown>>(
  model: M,
  options: TrainOptions<M, B>,
): AsyncGenerator<TrainStep, void, undefined> {
  check(options);
  const { loss = labelLoss, accumulate = 1, seed = 0 } = options;
  const parameters = model.parameters.filter(({ trainable }) => trainable);
  if (parameters.length === 0) reject("train: model", "have a trainable parameter", parameters);
  return runSteps({ model, options, loss, accumulate, seed, parameters });
}
