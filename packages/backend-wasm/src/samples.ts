/** Small calls of the kernels that most time is spent in: to warm them, to compare two builds, to choose a tile. */
import { causal, full } from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import { activations, randomStream } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activate } from "./activation.ts";
import { attentionWasm } from "./attention.ts";
import { linearWasm, panels } from "./linear.ts";
import { layerNormWasm, rmsNormWasm } from "./norms.ts";

const drawn = (path: string, ...shape: number[]): Tensor =>
  tf.tensor(randomStream({ seed: 1, path }).normals(shape.reduce((a, b) => a * b, 1)), shape);

/** A kernel's output, and its gradients where it has them. */
function both<C>(kernel: Kernel<C>, call: C, differentiating = true): Tensor[] {
  const { output, saved = [] } = kernel.forward(call, { differentiating });
  if (!differentiating || !kernel.gradient) return [output];
  const gradients = kernel.gradient({ call, saved, dy: output });
  return [output, ...Object.values(gradients).map((gradient) => gradient())];
}

/** What the samples are made of. */
export interface SampleCalls {
  readonly x: readonly Tensor[];
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly attention: readonly AttentionCall[];
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
    attention: [call(70, 70, "a"), call(1, 70, "b")],
  };
  const { x, weight, bias, attention } = calls;
  const tensors = [...x, weight, bias, ...attention.flatMap(({ q, k, v }) => [q, k, v])];
  // Nothing around may free them: the first kernel may run inside any scope.
  tensors.forEach((tensor) => tf.keep(tensor));
  return { calls, dispose: () => tf.dispose(tensors) };
}

/** What the kernels make of them. */
export function sampleResults({ x, weight, bias, attention }: SampleCalls): Tensor[] {
  const packed = { kind: "packed", packing: panels, layout: "linear", shape: weight.shape } as const;
  const values = panels.pack(weight, "linear");
  return [
    ...x.flatMap((rows) => [
      ...both(linearWasm, { x: rows, weight, bias, activation: "gelu" }),
      ...both(linearWasm, { x: rows, weight: { ...packed, values }, bias }, false),
    ]),
    ...both(layerNormWasm, { x: x[0]!, weight: bias, bias }),
    ...both(rmsNormWasm, { x: x[0]!, weight: bias }),
    ...activations.flatMap((kind) => [activate(kind, weight), activate(kind, weight, weight)]),
    ...attention.flatMap((call) => both(attentionWasm, call)),
  ];
}

/** Milliseconds of a product that fills its tiles: the least of several runs, since what disturbs only adds. */
export function productTime(): number {
  return tf.tidy(() => {
    const weight = drawn("weight", 256, 64);
    const packed = { kind: "packed", packing: panels, layout: "conv1d", shape: weight.shape } as const;
    const call = { x: drawn("x", 48, 256), weight: { ...packed, values: panels.pack(weight, "conv1d") } };
    let least = Infinity;
    // The first runs are in V8's first, slow form.
    const end = performance.now() + 12;
    for (let run = 0; run < 60 || performance.now() < end; run++) {
      const start = performance.now();
      tf.tidy(() => void linearWasm.forward(call, { differentiating: false }));
      least = Math.min(least, performance.now() - start);
    }
    return least;
  });
}
