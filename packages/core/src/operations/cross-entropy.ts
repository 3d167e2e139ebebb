import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkNumber, checkOneOf, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats, checkIntegers, rowsOf } from "./tensors.ts";

/** A call of `crossEntropy`. Shapes: V classes. */
export interface CrossEntropyCall {
  /** [..., V] */
  readonly logits: Tensor;
  /** A class for each row of the logits, in [0, V), or `ignoreIndex`. */
  readonly labels: Int32Array;
  /** Rows with this label do not count. @default -100 */
  readonly ignoreIndex?: number;
  /** Share of the target spread evenly over all V classes, as PyTorch does. @default 0 */
  readonly labelSmoothing?: number;
  /** Mean over the rows that count, or their sum. @default "mean" */
  readonly reduction?: "mean" | "sum";
}

/** What each row that is not ignored counts in the result. */
export function crossEntropyWeight({ labels, ignoreIndex = -100, reduction }: CrossEntropyCall): number {
  if (reduction === "sum") return 1;
  return 1 / labels.reduce((count, label) => count + (label === ignoreIndex ? 0 : 1), 0);
}

/** What each row counts in the result: 0 for those ignored. */
function rowWeights(call: CrossEntropyCall): Float32Array {
  const { labels, ignoreIndex = -100 } = call;
  const weight = crossEntropyWeight(call);
  return Float32Array.from(labels, (label) => (label === ignoreIndex ? 0 : weight));
}

/** Place of each row's label in the flat logits; any place for a row that is ignored. */
function labelPlaces({ labels, ignoreIndex = -100 }: CrossEntropyCall, classes: number): Int32Array {
  return labels.map((label, row) => row * classes + (label === ignoreIndex ? 0 : label));
}

/** x where a row counts and 0 elsewhere: a row that is ignored may hold an infinity, and 0 times that is no number. */
function countedRows(x: Tensor, weights: Float32Array): Tensor {
  if (!weights.includes(0)) return x;
  const counted = tf.tensor(
    Uint8Array.from(weights, (weight) => (weight > 0 ? 1 : 0)),
    [weights.length, 1],
    "bool",
  );
  return tf.where(tf.reshape(counted, x.shape.length === 1 ? [-1] : [-1, 1]), x, tf.zerosLike(x));
}

/** The operation behind `crossEntropy`. */
export const crossEntropyOperation: Operation<CrossEntropyCall> = defineOperation<CrossEntropyCall>({
  name: "crossEntropy",
  tensors: ["logits"],
  needs: [],
  validate({ logits, labels, ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" }) {
    checkFloats("crossEntropy: logits", logits, 1);
    checkIntegers("crossEntropy: labels", labels);
    const classes = logits.shape.at(-1)!;
    if (labels.length !== rowsOf(logits.shape))
      reject(
        "crossEntropy: labels",
        `hold one label for each of ${rowsOf(logits.shape)} rows`,
        labels.length,
      );
    labels.forEach((label, row) => {
      if (label !== ignoreIndex && (label < 0 || label >= classes))
        reject(
          `crossEntropy: labels[${row}]`,
          `be from 0 to ${classes - 1}, or ${ignoreIndex} to be ignored`,
          label,
        );
    });
    if (labels.every((label) => label === ignoreIndex))
      reject("crossEntropy: labels", "count at least one row", labels);
    checkNumber("crossEntropy: labelSmoothing", labelSmoothing, { min: 0, max: 1 });
    checkOneOf("crossEntropy: reduction", reduction, ["mean", "sum"]);
  },
  forward(call) {
    const { logits, labels, labelSmoothing = 0 } = call;
    const classes = logits.shape.at(-1)!;
    const x = tf.reshape(logits, [labels.length, classes]);
    const shifted = tf.sub(x, tf.max(x, 1, true));
    const sum = tf.sum(tf.exp(shifted), 1, true);
    const picked = tf.gather(tf.reshape(shifted, [x.size]), tf.tensor1d(labelPlaces(call, classes), "int32"));
    // -sum over classes of target times log softmax, the target being (1 - s) at the label and s / V everywhere.
    // Without smoothing a class that is ruled out by -Infinity takes no part: 0 times it is no number.
    const target =
      labelSmoothing === 0
        ? picked
        : tf.add(tf.mul(picked, 1 - labelSmoothing), tf.mul(tf.mean(shifted, 1), labelSmoothing));
    const weights = rowWeights(call);
    const losses = countedRows(tf.sub(tf.log(tf.reshape(sum, [labels.length])), target), weights);
    return { output: tf.sum(tf.mul(losses, tf.tensor1d(weights))), saved: [shifted, sum] };
  },
  gradient({ call, saved, dy }) {
    const { logits, labels, labelSmoothing = 0 } = call;
    const [shifted, sum] = saved as [Tensor, Tensor];
    return {
      logits: () => {
        const classes = logits.shape.at(-1)!;
        const weights = rowWeights(call);
        const probabilities = countedRows(tf.div(tf.exp(shifted), sum), weights);
        const scale = tf.mul(tf.tensor2d(weights, [labels.length, 1]), dy);
        const spread = tf.mul(tf.sub(probabilities, labelSmoothing / classes), scale);
        const places = tf.tensor2d(labelPlaces(call, classes), [labels.length, 1], "int32");
        const atLabels = tf.mul(tf.reshape(scale, [labels.length]), 1 - labelSmoothing);
        const hot = tf.scatterND(places, atLabels, [labels.length * classes]);
        return tf.reshape(tf.sub(spread, tf.reshape(hot, [labels.length, classes])), logits.shape);
      },
    };
  },
});

/**
 * Softmax cross-entropy of rows of logits against class labels, as torch.nn.functional.cross_entropy; a scalar.
 * @throws HeddleError for a label out of range, or when every row is ignored.
 */
export function crossEntropy(call: CrossEntropyCall): Tensor {
  return run(crossEntropyOperation, call);
}
