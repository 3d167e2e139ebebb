import * as tf from "@tensorflow/tfjs-core";
import { HeddleError, breathe, checkFields, checkInteger, checkSignal, reject } from "@heddle/core";
import { labelLoss, scalarLoss } from "./loss.ts";
import type { Loss } from "./loss.ts";
import { countLabels } from "./trainable.ts";
import type { Batch, BatchList, Trainable } from "./trainable.ts";

export interface EvaluateOptions<M, B> {
  /** @default mean cross-entropy of the logits against the labels */
  readonly loss?: Loss<M, B>;
  /** Ends the evaluation with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What `evaluate` found over all batches together. */
export interface Evaluation {
  /** Mean over all labels that count, whatever the sizes of the batches. */
  readonly loss: number;
  /** Number of labels that count. */
  readonly tokens: number;
}

/** Batches as a list, checked to hold one. */
export function batchList<B>(where: string, batches: readonly B[] | BatchList<B>): BatchList<B> {
  if (typeof batches?.at !== "function")
    reject(where, "be a list of batches, sequentialWindows(ids, { length, batch }) for example", batches);
  const list: BatchList<B> =
    "count" in batches ? batches : { count: batches.length, at: (index) => batches[index]! };
  checkInteger(`${where}: number of batches`, list.count, { min: 1 });
  return list;
}

/**
 * The loss over batches, without dropout or gradients.
 *
 * @throws HeddleError `invalid-argument` for no batch, or none with a label that counts; `not-finite` names the batch.
 */
export async function evaluate<M extends Trainable<B["inputs"]>, B extends Batch<unknown>>(
  model: M,
  batches: readonly B[] | BatchList<B>,
  options: EvaluateOptions<M, B> = {},
): Promise<Evaluation> {
  checkFields("evaluate: options", options, ["loss", "signal"]);
  const { loss = labelLoss, signal } = options;
  checkSignal("evaluate: signal", signal);
  const list = batchList("evaluate: batches", batches);
  let sum = 0;
  let tokens = 0;
  for (let index = 0; index < list.count; index++) {
    signal?.throwIfAborted();
    const batch = await list.at(index);
    const count = countLabels(`evaluate: labels of batch ${index}`, batch);
    if (count === 0) continue;
    const value = tf.tidy(() => scalarLoss(loss, model, batch, {}));
    try {
      const mean = (await value.data())[0]!;
      if (!Number.isFinite(mean))
        throw new HeddleError("not-finite", `evaluate: loss of batch ${index} must be finite, got ${mean}`);
      sum += mean * count;
    } finally {
      value.dispose();
    }
    tokens += count;
    await breathe();
  }
  if (tokens === 0) reject("evaluate: batches", "hold at least one label that counts", tokens);
  return { loss: sum / tokens, tokens };
}
