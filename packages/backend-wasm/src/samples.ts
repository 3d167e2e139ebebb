/** Small calls of every kernel: to warm them, to compare two builds, to choose a tile. */
import { causal, full, softCap } from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import { activations, randomStream } from "@heddle/core";
import type { AdamWCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activate } from "./activation.ts";
import { attentionMapsWasm } from "./attention-maps.ts";
import { attentionWasm } from "./attention.ts";
import { linearWasm, panels } from "./linear.ts";
import { adamwWasm } from "./adamw.ts";
import { chooseTokenWasm } from "./choose-token.ts";
import { crossEntropyWasm } from "./cross-entropy.ts";
import { dropoutWasm } from "./dropout.ts";
import { embeddingWasm } from "./embedding.ts";
import { mergeHeadsWasm, splitHeadsWasm } from "./heads.ts";
import { matmulWasm } from "./matmul.ts";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";
import { residualWasm } from "./residual.ts";
import { rotaryWasm } from "./rotary.ts";
import { sliceWasm, transposeWasm } from "./shape.ts";

const drawn = (path: string, ...shape: number[]): Tensor =>
  tf.tensor(randomStream({ seed: 1, path }).normals(shape.reduce((a, b) => a * b, 1)), shape);

/** A kernel's output, and its gradients where it has them. */
function both<C>(kernel: Kernel<C>, call: C, differentiating = true): Tensor[] {
  const { output, saved = [] } = kernel.forward(call, { differentiating });
  if (!differentiating || !kernel.gradient) return [output];
  const gradients = kernel.gradient({ call, saved, dy: output });
  return [output, ...Object.values(gradients).map((gradient) => gradient())];
}

/** One for all samples: a module is emitted for each. */
const CAP = softCap({ cap: 2 });

/** What the samples are made of. */
export interface SampleCalls {
  readonly x: readonly Tensor[];
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly attention: readonly AttentionCall[];
  /** Values of activations: V8 counts what a function does, and these do little for each. */
  readonly many: Tensor;
  /** Row numbers of `weight`. */
  readonly ids: Tensor;
}

/** Drawn inputs for {@link sampleResults}. */
export function sampleInputs(): { readonly calls: SampleCalls; dispose(): void } {
  const call = (queries: number, keys: number, name: string): AttentionCall => ({
    q: drawn(`${name}.q`, 1, 2, queries, 32),
    k: drawn(`${name}.k`, 1, 2, keys, 32),
    v: drawn(`${name}.v`, 1, 2, keys, 32),
    pattern: queries === keys ? causal() : full(),
  });
  const calls: SampleCalls = {
    // Together they take the tiles of every number of rows.
    x: [21, 10, 5, 2, 1].map((rows) => drawn(`x${rows}`, rows, 64)),
    weight: drawn("weight", 64, 64),
    bias: drawn("bias", 64),
    many: drawn("many", 32, 1024),
    attention: [
      call(70, 70, "a"),
      call(1, 70, "b"),
      { ...call(9, 9, "c"), modifiers: [CAP], dropout: { rate: 0.5, address: { seed: 1 } } },
    ],
    ids: tf.tensor1d([3, 60, 3], "int32"),
  };
  const { x, weight, bias, many, attention, ids } = calls;
  const tensors = [...x, weight, bias, many, ids, ...attention.flatMap(({ q, k, v }) => [q, k, v])];
  // Nothing around may free them: the first kernel may run inside any scope.
  tensors.forEach((tensor) => tf.keep(tensor));
  return { calls, dispose: () => tf.dispose(tensors) };
}

const adamwSample = (weight: Tensor): AdamWCall => ({
  value: weight,
  gradient: weight,
  mean: weight,
  square: tf.square(weight),
  step: 1,
  learningRate: 0.1,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
});

/** What the kernels make of them. */
export function sampleResults({ x, weight, bias, many, attention, ids }: SampleCalls): Tensor[] {
  const [rows] = x as [Tensor];
  const { q } = attention[0]!;
  const labels = new Int32Array(rows.shape[0]!).fill(5);
  const packed = { kind: "packed", packing: panels, layout: "linear", shape: weight.shape } as const;
  const values = panels.pack(weight, "linear");
  return [
    ...x.flatMap((some) => [
      ...both(linearWasm, { x: some, weight, bias, activation: "gelu" }),
      ...both(linearWasm, { x: some, weight: { ...packed, values }, bias }, false),
    ]),
    panels.unpack({ ...packed, values }),
    ...both(matmulWasm, { a: q, b: q, transposeB: true }),
    ...both(linearWasm, { x: rows, weight, bias, residual: rows }),
    ...both(layerNormWasm, { x: rows, weight: bias, bias, residual: rows }),
    ...both(rmsNormWasm, { x: rows, weight: bias }),
    ...both(splitHeadsWasm, { x: tf.reshape(rows, [3, 7, 64]), heads: 3, headWidth: 9, begin: 5 }),
    ...both(mergeHeadsWasm, { x: q }),
    ...both(residualWasm, { x: rows, y: bias }),
    ...both(dropoutWasm, { x: rows, rate: 0.5, address: { seed: 1 } }),
    ...both(embeddingWasm, { table: weight, ids }),
    ...both(rotaryWasm, { x: q, positions: Int32Array.from({ length: q.shape[2]! }, (_, i) => i) }),
    ...both(transposeWasm, { x: q, order: [0, 2, 1, 3] }),
    ...both(sliceWasm, { x: q, axis: 2, begin: 1, size: 60 }),
    ...[0, 0.1].flatMap((labelSmoothing) => both(crossEntropyWasm, { logits: rows, labels, labelSmoothing })),
    ...both(chooseTokenWasm, {
      logits: rows,
      draw: { temperature: 1, topK: 40, places: [...labels].map(() => 0.5) },
    }),
    ...(adamwWasm.forward(adamwSample(weight), { differentiating: false }).output as Tensor[]),
    ...activations.flatMap((kind) => [activate(kind, many), activate(kind, many, many)]),
    ...attention.flatMap((call) => [
      ...both(attentionWasm, call),
      // Few queries take another way where no gradient follows.
      ...both(attentionWasm, call, false),
      ...both(attentionMapsWasm, call, false),
    ]),
  ];
}

/** Milliseconds of a product that fills its tiles: the least of several runs, since what disturbs only adds. */
export function productTime(): number {
  return tf.tidy(() => {
    const weight = drawn("weight", 256, 64);
    const packed = { kind: "packed", packing: panels, layout: "conv1d", shape: weight.shape } as const;
    const call = { x: drawn("x", 48, 256), weight: { ...packed, values: panels.pack(weight, "conv1d") } };
    let least = Infinity;
    // The first runs are in V8's first, slow form; the clock may stand still.
    const end = performance.now() + 12;
    for (let run = 0; run < 60 || (run < 5000 && performance.now() < end); run++) {
      const start = performance.now();
      tf.tidy(() => void linearWasm.forward(call, { differentiating: false }));
      least = Math.min(least, performance.now() - start);
    }
    return least;
  });
}
