import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  activation,
  adamwStep,
  crossEntropy,
  embedding,
  layerNorm,
  linear,
  matmul,
  rmsNorm,
  rotary,
} from "@heddle/core";
import type { Activation, AdamWCall } from "@heddle/core";
import type { GoldenCall, GoldenTable } from "./test-goldens.ts";

const ACTIVATION: Readonly<Record<string, Activation>> = {
  gelu: "gelu",
  "gelu-tanh": "gelu_new",
  relu: "relu",
  silu: "silu",
};

const dense =
  (layout: "linear" | "conv1d" = "linear") =>
  ({ tensors: { x, weight, bias }, options }: GoldenCall): Tensor => {
    const kind = ACTIVATION[String(options["activation"])];
    return linear({
      x: x!,
      weight: weight!,
      ...(bias && { bias }),
      layout,
      ...(kind && { activation: kind }),
    });
  };

const normalised = ({ tensors: { x, weight, bias }, options }: GoldenCall): Tensor => {
  const epsilon = Number(options["epsilon"]);
  return bias
    ? layerNorm({ x: x!, weight: weight!, bias, epsilon })
    : rmsNorm({ x: x!, weight: weight!, epsilon });
};

const activated =
  (kind: Activation) =>
  ({ tensors }: GoldenCall): Tensor =>
    activation({ x: tensors["x"]!, kind });

const loss = ({ tensors, integers, options }: GoldenCall): Tensor =>
  crossEntropy({
    logits: tensors["logits"]!,
    labels: integers("labels"),
    labelSmoothing: Number(options["labelSmoothing"]),
    ignoreIndex: Number(options["ignoreIndex"]),
    reduction: options["reduction"] === "sum" ? "sum" : "mean",
  });

const turned = ({ tensors, integers, options, output }: GoldenCall): Tensor =>
  rotary({
    x: tensors[output]!,
    positions: integers("positions"),
    base: Number(options["theta"]),
    pairs: options["style"] === "halves" ? "half" : "interleaved",
  });

/** Steps from no running means up to the one that the output names. */
const adamwSteps = ({ tensors, options, output }: GoldenCall): Tensor => {
  const [part, last] = output.split(".") as ["parameter" | "firstMoment" | "secondMoment", string];
  const rates = options as Omit<AdamWCall, "value" | "gradient" | "mean" | "square" | "step">;
  let value = tensors["parameter"]!;
  let [mean, square]: [Tensor, Tensor] = [tf.zeros(value.shape), tf.zeros(value.shape)];
  for (let step = 1; step <= Number(last); step++)
    [value, mean, square] = adamwStep({
      value,
      gradient: tensors[`gradient.${step}`]!,
      mean,
      square,
      step,
      ...rates,
    });
  return { parameter: value, firstMoment: mean, secondMoment: square }[part];
};

/** The cases of `operations.safetensors`, by Heddle's operations. */
export const operationGoldens: GoldenTable = {
  adamw: adamwSteps,
  "adamw-plain": adamwSteps,
  "clip-norm": "clipping belongs to training",
  "clip-norm-below": "clipping belongs to training",
  "cross-entropy": loss,
  "cross-entropy-ignore": loss,
  "cross-entropy-large": loss,
  "cross-entropy-none": "the operation gives a mean or a sum",
  "cross-entropy-smoothing": loss,
  "cross-entropy-sum": loss,
  embedding: ({ tensors, integers, shape }) =>
    embedding(tensors["weight"]!, tf.tensor(integers("ids"), [...shape("ids")], "int32")),
  gelu: activated("gelu"),
  "gelu-tanh": activated("gelu_new"),
  "layer-norm-33": normalised,
  "layer-norm-65": normalised,
  "layer-norm-7": normalised,
  "layer-norm-constant": normalised,
  linear: dense(),
  "linear-conv1d": dense("conv1d"),
  "linear-gelu": dense(),
  "linear-gelu-tanh": dense(),
  "linear-no-bias": dense(),
  "linear-relu": dense(),
  "linear-silu": dense(),
  matmul: ({ tensors: { a, b } }) => matmul({ a: a!, b: b! }),
  "matmul-broadcast": "the operation takes equal leading dimensions",
  relu: activated("relu"),
  "rms-norm-33": normalised,
  "rms-norm-65": normalised,
  "rms-norm-7": normalised,
  "rotary-halves": turned,
  "rotary-halves-theta": turned,
  "rotary-interleaved": turned,
  silu: activated("silu"),
  softmax: "softmax is part of attention and of the loss",
};
