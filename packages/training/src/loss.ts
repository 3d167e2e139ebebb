import type { Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, checkShape, crossEntropy } from "@heddle/core";
import { IGNORED } from "./trainable.ts";
import type { Batch, Trainable } from "./trainable.ts";

/** What a loss passes on to the model. */
export interface LossContext {
  /** Address of dropout's random numbers; absent in evaluation. */
  readonly training?: { readonly seed: number; readonly step: number };
}

/**
 * A scalar to make small: the mean over the batch's labels that count, since batches are weighted by their number.
 * Between the parameters and the scalar lie Heddle's operations only.
 */
export type Loss<M, B> = (model: M, batch: B, context: LossContext) => Tensor;

/** Mean cross-entropy of the logits against the labels. */
export function labelLoss<Inputs>(
  model: Trainable<Inputs>,
  { inputs, labels }: Batch<Inputs>,
  { training }: LossContext,
): Tensor {
  const { logits } = model.forward(inputs, training && { training });
  if (!logits)
    throw new HeddleError("unsupported", "train: model must give logits, got none; give a loss of your own");
  return crossEntropy({ logits, labels, ignoreIndex: IGNORED });
}

/** A loss whose value was checked to be a scalar. */
export function scalarLoss<M, B>(loss: Loss<M, B>, model: M, batch: B, context: LossContext): Tensor {
  const value = loss(model, batch, context);
  checkShape("train: loss", value.shape, []);
  return value;
}
