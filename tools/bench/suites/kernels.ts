/** Every kernel of a backend, forward and backward, against the reference composition that it replaces. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { cacheWriteOperation, mergeHeadsOperation, splitHeadsOperation } from "@heddle/attention";
import {
  activationOperation,
  adamwOperation,
  chooseTokenOperation,
  crossEntropyOperation,
  dropoutOperation,
  embeddingOperation,
  layerNormOperation,
  linearOperation,
  matmulOperation,
  randomStream,
  residualOperation,
  rmsNormOperation,
  rotaryOperation,
  run,
  sliceOperation,
  transposeOperation,
  withKernels,
} from "@heddle/core";
import { integers } from "../data.ts";
import type { BenchCase } from "../suite.ts";
import { attentionCases } from "./attention-kernels.ts";
import { casesOf, contenders, HEAD } from "./kernel-case.ts";
import type { Draw, KernelSizes } from "./kernel-case.ts";

/** Width of a layer between, as a multiple. */
const INNER = 4;

/** AdamW has no gradient, and three results. */
function adamwCase(shape: [number, number]): BenchCase {
  const [value, gradient, mean, square] = ["value", "gradient", "mean", "square"].map((path) =>
    tf.tensor(randomStream({ seed: 1, path }).uniforms(shape[0] * shape[1]), shape),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const rates = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
  const step = (): void =>
    tf.dispose(run(adamwOperation, { value, gradient, mean, square, step: 1, ...rates }));
  const contender = contenders(1);
  return {
    name: `adamwStep ${shape.join("x")}, new tensors`,
    sets: 1,
    ours: contender(step),
    peers: { reference: contender(() => withKernels({ adamwStep: "adamwStep.reference" }, step)) },
    dispose: () => tf.dispose([value, gradient, mean, square]),
  };
}

/** Written in place, so that the buffer outlives its runs; the reference makes a new one. */
function cacheWriteCase({ heads, rows }: KernelSizes): BenchCase {
  const [buffer, token] = [tf.zeros([1, heads, rows, HEAD]), tf.ones([1, heads, 1, HEAD])] as [
    Tensor,
    Tensor,
  ];
  const write = (): void => {
    const written = tf.tidy(() => run(cacheWriteOperation, { buffer, rows: token, slots: [rows / 2] }));
    if (written !== buffer) written.dispose();
  };
  const contender = contenders(1);
  return {
    name: `cacheWrite, a token into ${heads}x${rows}x${HEAD}`,
    sets: 1,
    ours: contender(write),
    peers: { reference: contender(() => withKernels({ cacheWrite: "cacheWrite.reference" }, write)) },
    dispose: () => tf.dispose([buffer, token]),
  };
}

/** The cases in such sizes, on the backend that is active. */
export function* kernelCases(sizes: KernelSizes): Generator<BenchCase> {
  const { rows, width, heads, vocabulary } = sizes;
  const inner = INNER * width;
  const layer = (draw: Draw): Record<"x" | "weight" | "bias", Tensor> => ({
    x: draw("x", rows, width),
    weight: draw("weight", width, width),
    bias: draw("bias", width),
  });
  const plainLinear = ({ x, weight, bias }: Record<"x" | "weight" | "bias", Tensor>): Tensor =>
    tf.add(tf.matMul(x, weight, false, true), bias);
  yield* casesOf(`linear ${rows}x${width}x${width}`, linearOperation, layer, (call) =>
    plainLinear(call as ReturnType<typeof layer>),
  );
  yield* casesOf(`linear ${rows}x${width}x${width}, residual`, linearOperation, (draw) => ({
    ...layer(draw),
    residual: draw("residual", rows, width),
  }));
  yield* casesOf(`linear ${rows}x${width}x${inner}, gelu_new`, linearOperation, (draw) => ({
    x: draw("x", rows, width),
    weight: draw("weight", inner, width),
    bias: draw("bias", inner),
    activation: "gelu_new" as const,
  }));
  yield* casesOf(`linear ${rows}x${width}x${width}, conv1d`, linearOperation, (draw) => ({
    ...layer(draw),
    layout: "conv1d" as const,
  }));
  for (const few of [1, 4, 8])
    yield* casesOf(
      `linear ${few}x${width}x${inner}`,
      linearOperation,
      (draw) => ({
        x: draw("x", few, width),
        weight: draw("weight", inner, width),
        bias: draw("bias", inner),
      }),
      (call) => plainLinear(call as ReturnType<typeof layer>),
    );
  for (const [transposeA, transposeB] of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const)
    yield* casesOf(
      `matmul ${heads}x128x64x128${transposeA ? ", a transposed" : ""}${transposeB ? ", b transposed" : ""}`,
      matmulOperation,
      (draw) => ({
        a: transposeA ? draw("a", heads, 64, 128) : draw("a", heads, 128, 64),
        b: transposeB ? draw("b", heads, 128, 64) : draw("b", heads, 64, 128),
        transposeA,
        transposeB,
      }),
      ({ a, b }) => tf.matMul(a, b, transposeA, transposeB),
    );
  yield* attentionCases(sizes);
  for (const kind of ["gelu", "gelu_new", "relu", "silu", "tanh"] as const)
    yield* casesOf(`${kind} ${rows}x${inner}`, activationOperation, (draw) => ({
      x: draw("x", rows, inner),
      kind,
    }));
  const norm = (draw: Draw): Record<"x" | "weight", Tensor> => ({
    x: draw("x", rows, width),
    weight: draw("weight", width),
  });
  const layerNorm = (draw: Draw): Record<"x" | "weight" | "bias", Tensor> => ({
    ...norm(draw),
    bias: draw("bias", width),
  });
  yield* casesOf(`layerNorm ${rows}x${width}`, layerNormOperation, layerNorm);
  yield* casesOf(`layerNorm ${rows}x${width}, residual`, layerNormOperation, (draw) => ({
    ...layerNorm(draw),
    residual: draw("residual", rows, width),
  }));
  yield* casesOf(`rmsNorm ${rows}x${width}`, rmsNormOperation, norm);
  yield* casesOf(`rmsNorm ${rows}x${width}, residual`, rmsNormOperation, (draw) => ({
    ...norm(draw),
    residual: draw("residual", rows, width),
  }));
  yield* casesOf(`residual ${rows}x${width}`, residualOperation, (draw) => ({
    x: draw("x", rows, width),
    y: draw("y", rows, width),
  }));
  yield* casesOf(`residual 8x${rows / 8}x${width}, one table`, residualOperation, (draw) => ({
    x: draw("x", 8, rows / 8, width),
    y: draw("y", rows / 8, width),
  }));
  yield* casesOf(`embedding ${rows} of ${vocabulary}x${width}`, embeddingOperation, (draw) => ({
    table: draw("table", vocabulary, width),
    ids: tf.tensor1d(integers(rows, vocabulary), "int32"),
  }));
  yield* casesOf(`crossEntropy ${rows / 2}x${vocabulary}`, crossEntropyOperation, (draw) => ({
    logits: draw("logits", rows / 2, vocabulary),
    labels: integers(rows / 2, vocabulary),
  }));
  yield* casesOf(`dropout ${rows}x${width}`, dropoutOperation, (draw) => ({
    x: draw("x", rows, width),
    rate: 0.1,
    address: { seed: 1 },
  }));
  yield* casesOf(`rotary ${heads}x${rows}x${HEAD}`, rotaryOperation, (draw) => ({
    x: draw("x", 1, heads, rows, HEAD),
    positions: integers(rows, rows),
  }));
  const fused = (draw: Draw): Tensor => draw("x", 1, rows, 3 * heads * HEAD);
  yield* casesOf(
    `splitHeads, ${heads} of ${HEAD} out of three times as many`,
    splitHeadsOperation,
    (draw) => ({
      x: fused(draw),
      heads,
      headWidth: HEAD,
      begin: heads * HEAD,
    }),
  );
  yield* casesOf(`splitHeads, ${heads} of ${HEAD}, ${rows} rows`, splitHeadsOperation, (draw) => ({
    x: draw("x", 1, rows, heads * HEAD),
    heads,
  }));
  yield* casesOf(`mergeHeads ${heads}x${rows}x${HEAD}`, mergeHeadsOperation, (draw) => ({
    x: draw("x", 1, heads, rows, HEAD),
  }));
  yield* casesOf(`transpose ${rows}x${width}`, transposeOperation, (draw) => ({
    x: draw("x", rows, width),
    order: [1, 0],
  }));
  yield* casesOf(`transpose of heads, ${rows}x${heads}x${HEAD}`, transposeOperation, (draw) => ({
    x: draw("x", 1, rows, heads, HEAD),
    order: [0, 2, 1, 3],
  }));
  yield* casesOf(`slice of a third of ${rows}x${3 * heads * HEAD}`, sliceOperation, (draw) => ({
    x: fused(draw),
    axis: 2,
    begin: 0,
    size: heads * HEAD,
  }));
  const logits = (draw: Draw): Record<"logits", Tensor> => ({ logits: draw("logits", 1, vocabulary) });
  yield* casesOf(`chooseToken, greedy of ${vocabulary}`, chooseTokenOperation, logits);
  for (const topK of [undefined, 40])
    yield* casesOf(
      `chooseToken, drawn ${topK === undefined ? "" : `among ${topK} `}of ${vocabulary}`,
      chooseTokenOperation,
      (draw) => ({
        ...logits(draw),
        draw: { temperature: 0.8, places: [0.5], ...(topK !== undefined && { topK }) },
      }),
    );
  yield cacheWriteCase(sizes);
  yield adamwCase([width, inner]);
}
