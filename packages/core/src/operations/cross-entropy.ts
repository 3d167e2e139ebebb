import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkNumber, checkOneOf, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats, rowsOf } from "./tensors.ts";

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

/** The target distribution of each row, already weighted: rows that do not count are 0. [rows, V] */
function targets({
  logits,
  labels,
  ignoreIndex = -100,
  labelSmoothing = 0,
  reduction = "mean",
}: CrossEntropyCall): {
  target: Tensor;
  weight: Tensor;
} {
  const classes = logits.shape.at(-1)!;
  const counts = labels.map((label) => (label === ignoreIndex ? 0 : 1));
  const total = reduction === "mean" ? counts.reduce((a, b) => a + b, 0) : 1;
  const weight = tf.tensor2d(
    Float32Array.from(counts, (count) => count / total),
    [labels.length, 1],
  );
  const hot = tf.oneHot(
    tf.tensor1d(
      labels.map((label) => (label === ignoreIndex ? 0 : label)),
      "int32",
    ),
    classes,
  );
  const smooth = tf.add(tf.mul(tf.cast(hot, "float32"), 1 - labelSmoothing), labelSmoothing / classes);
  return { target: tf.mul(smooth, weight), weight };
}

/** The operation behind `crossEntropy`. */
export const crossEntropyOperation: Operation<CrossEntropyCall> = defineOperation<CrossEntropyCall>({
  name: "crossEntropy",
  tensors: ["logits"],
  needs: [],
  validate({ logits, labels, ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" }) {
    checkFloats("crossEntropy: logits", logits, 1);
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
    const x = tf.reshape(call.logits, [call.labels.length, call.logits.shape.at(-1)!]);
    const shifted = tf.sub(x, tf.max(x, 1, true));
    const logSoftmax = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
    const { target, weight } = targets(call);
    // A row that does not count may hold an infinity, and 0 times that is not a number.
    const counted = tf.where(tf.greater(weight, 0), logSoftmax, tf.zerosLike(logSoftmax));
    return { output: tf.neg(tf.sum(tf.mul(target, counted))), saved: [logSoftmax] };
  },
  gradient({ call, saved, dy }) {
    return {
      logits: () => {
        const { target, weight } = targets(call);
        const probability = tf.mul(tf.exp(saved[0]!), weight);
        return tf.reshape(tf.mul(tf.sub(probability, target), dy), call.logits.shape);
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
