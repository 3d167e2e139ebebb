/** Every kernel of the WASM backend, forward and backward, against the reference composition that it replaces. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  attentionMapsOperation,
  attentionOperation,
  causal,
  mergeHeadsOperation,
  splitHeadsOperation,
} from "@heddle/attention";
import {
  activationOperation,
  adamwOperation,
  crossEntropyOperation,
  differentiate,
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
import type { Operation } from "@heddle/core";
import { setsBeyondCaches } from "../data.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuite } from "../wasm-suite.ts";

type Draw = (part: string, ...shape: number[]) => Tensor;

/** One operation over drawn inputs: its forward pass, and with the gradients of all its inputs if it has any. */
function* casesOf<C extends object>(
  name: string,
  operation: Operation<C>,
  makeCall: (draw: Draw) => C,
): Generator<BenchCase> {
  const makeSet = (set: number): C =>
    makeCall((part, ...shape) => {
      const size = shape.reduce((product, length) => product * length, 1);
      return tf.tensor(randomStream({ seed: set, path: `${name}/${part}` }).uniforms(size), shape);
    });
  const tensorsOf = (call: C): Tensor[] => Object.values(operation.inputs(call));
  for (const backward of operation.reference.gradient ? [false, true] : [false]) {
    const first = makeSet(0);
    const bytes = tensorsOf(first).reduce((sum, { size }) => sum + 4 * size, 0);
    const sets = [first];
    for (let set = 1; set < setsBeyondCaches(bytes); set++) sets.push(makeSet(set));
    const pass = (call: C): void => {
      if (!backward) return tf.dispose(tf.tidy(() => run(operation, call)));
      const { value, gradients } = differentiate(() => run(operation, call), tensorsOf(call));
      tf.dispose([value, ...gradients.filter((gradient) => gradient !== null)]);
    };
    const reference = { [operation.name]: operation.reference.name };
    yield {
      name: `${name}, ${backward ? "forward and backward" : "forward"}`,
      sets: sets.length,
      ours: async (set) => pass(sets[set]!),
      peers: { reference: async (set) => withKernels(reference, () => pass(sets[set]!)) },
      dispose: () => tf.dispose(sets.flatMap(tensorsOf)),
    };
  }
}

/** AdamW has no gradient, and three results. */
function adamwCase(): BenchCase {
  const [value, gradient, mean, square] = ["value", "gradient", "mean", "square"].map((path) =>
    tf.tensor(randomStream({ seed: 1, path }).uniforms(768 * 3072), [768, 3072]),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const rates = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
  const step = async (): Promise<void> =>
    tf.dispose(run(adamwOperation, { value, gradient, mean, square, step: 1, ...rates }));
  return {
    name: "adamwStep 768x3072, new tensors",
    sets: 1,
    ours: step,
    peers: { reference: async () => withKernels({ adamwStep: "adamwStep.reference" }, step) },
    dispose: () => tf.dispose([value, gradient, mean, square]),
  };
}

function* cases(): Generator<BenchCase> {
  const heads = (draw: Draw, part: string): Tensor => draw(part, 1, 12, 512, 64);
  const integers = (size: number, bound: number): Int32Array =>
    Int32Array.from({ length: size }, (_, i) => (i * 7919) % bound);
  yield* casesOf("linear 512x768x768", linearOperation, (draw) => ({
    x: draw("x", 512, 768),
    weight: draw("weight", 768, 768),
    bias: draw("bias", 768),
  }));
  yield* casesOf("linear 512x768x768, residual", linearOperation, (draw) => ({
    x: draw("x", 512, 768),
    weight: draw("weight", 768, 768),
    bias: draw("bias", 768),
    residual: draw("residual", 512, 768),
  }));
  yield* casesOf("matmul 12x128x64x128, b transposed", matmulOperation, (draw) => ({
    a: draw("a", 12, 128, 64),
    b: draw("b", 12, 128, 64),
    transposeB: true,
  }));
  yield* casesOf("attention, 12 heads of 64, causal, T 512", attentionOperation, (draw) => ({
    q: heads(draw, "q"),
    k: heads(draw, "k"),
    v: heads(draw, "v"),
    pattern: causal(),
  }));
  for (const [chosen, selection] of Object.entries({
    all: {},
    "8 rows of 2": { heads: [0, 5], rows: [...integers(8, 512)] },
  }))
    yield* casesOf(
      `attentionMaps, ${chosen} of 12 heads of 64, causal, T 512`,
      attentionMapsOperation,
      (draw) => ({
        q: heads(draw, "q"),
        k: heads(draw, "k"),
        v: heads(draw, "v"),
        pattern: causal(),
        ...selection,
      }),
    );
  for (const kind of ["gelu", "gelu_new", "relu", "silu", "tanh"] as const)
    yield* casesOf(`${kind} 512x3072`, activationOperation, (draw) => ({ x: draw("x", 512, 3072), kind }));
  yield* casesOf("layerNorm 512x768", layerNormOperation, (draw) => ({
    x: draw("x", 512, 768),
    weight: draw("weight", 768),
    bias: draw("bias", 768),
  }));
  yield* casesOf("layerNorm 512x768, residual", layerNormOperation, (draw) => ({
    x: draw("x", 512, 768),
    residual: draw("residual", 512, 768),
    weight: draw("weight", 768),
    bias: draw("bias", 768),
  }));
  yield* casesOf("rmsNorm 512x768", rmsNormOperation, (draw) => ({
    x: draw("x", 512, 768),
    weight: draw("weight", 768),
  }));
  yield* casesOf("residual 512x768", residualOperation, (draw) => ({
    x: draw("x", 512, 768),
    y: draw("y", 512, 768),
  }));
  yield* casesOf("residual 8x64x768, one table", residualOperation, (draw) => ({
    x: draw("x", 8, 64, 768),
    y: draw("y", 64, 768),
  }));
  yield* casesOf("embedding 512 of 8192x768", embeddingOperation, (draw) => ({
    table: draw("table", 8192, 768),
    ids: tf.tensor1d(integers(512, 8192), "int32"),
  }));
  yield* casesOf("crossEntropy 256x8192", crossEntropyOperation, (draw) => ({
    logits: draw("logits", 256, 8192),
    labels: integers(256, 8192),
  }));
  yield* casesOf("dropout 512x768", dropoutOperation, (draw) => ({
    x: draw("x", 512, 768),
    rate: 0.1,
    address: { seed: 1 },
  }));
  yield* casesOf("rotary 12x512x64", rotaryOperation, (draw) => ({
    x: heads(draw, "x"),
    positions: integers(512, 512),
  }));
  yield* casesOf("splitHeads, 12 of 64 from 768 on of 512x2304", splitHeadsOperation, (draw) => ({
    x: draw("x", 1, 512, 2304),
    heads: 12,
    headWidth: 64,
    begin: 768,
  }));
  yield* casesOf("splitHeads, 12 of 64 of 512x768", splitHeadsOperation, (draw) => ({
    x: draw("x", 1, 512, 768),
    heads: 12,
  }));
  yield* casesOf("mergeHeads 12x512x64", mergeHeadsOperation, (draw) => ({ x: heads(draw, "x") }));
  yield* casesOf("transpose 512x768", transposeOperation, (draw) => ({
    x: draw("x", 512, 768),
    order: [1, 0],
  }));
  yield* casesOf("transpose of heads, 512x12x64", transposeOperation, (draw) => ({
    x: draw("x", 1, 512, 12, 64),
    order: [0, 2, 1, 3],
  }));
  yield* casesOf("slice of queries, 512x2304", sliceOperation, (draw) => ({
    x: draw("x", 1, 512, 2304),
    axis: 2,
    begin: 0,
    size: 768,
  }));
  yield adamwCase();
}

/** Starts WASM and gives the cases. */
export const kernels = (): Promise<BenchSuite> => wasmSuite(cases);
