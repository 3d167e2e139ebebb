/** Every kernel of a backend, forward and backward, against the reference composition that it replaces. */
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
  activeBackend,
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
import type { BenchCase } from "../suite.ts";

/** How large the cases are. */
export interface KernelSizes {
  /** Tokens. */
  readonly rows: number;
  readonly width: number;
  readonly heads: number;
  readonly vocabulary: number;
}

/** A head's width. */
const HEAD = 64;
/** Width of a layer between, as a multiple. */
const INNER = 4;

type Draw = (part: string, ...shape: number[]) => Tensor;

/** A run that is over when the device has done it. */
const finished =
  <A>(pass: (argument: A) => void) =>
  async (argument: A): Promise<void> => {
    pass(argument);
    await activeBackend()!.finish();
  };

/** One operation over drawn inputs: its forward pass, and with the gradients of all its inputs if it has any. */
function* casesOf<C extends object>(
  name: string,
  operation: Operation<C>,
  makeCall: (draw: Draw) => C,
  /** The forward pass as a user of tfjs writes it, where that is faster than the reference. */
  tfjs?: (call: C) => Tensor,
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
      ours: finished((set) => pass(sets[set]!)),
      peers: {
        reference: finished((set) => withKernels(reference, () => pass(sets[set]!))),
        ...(tfjs && !backward && { tfjs: finished((set) => tf.dispose(tf.tidy(() => tfjs(sets[set]!)))) }),
      },
      dispose: () => tf.dispose(sets.flatMap(tensorsOf)),
    };
  }
}

/** AdamW has no gradient, and three results. */
function adamwCase(shape: [number, number]): BenchCase {
  const [value, gradient, mean, square] = ["value", "gradient", "mean", "square"].map((path) =>
    tf.tensor(randomStream({ seed: 1, path }).uniforms(shape[0] * shape[1]), shape),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const rates = { learningRate: 1e-3, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };
  const step = (): void =>
    tf.dispose(run(adamwOperation, { value, gradient, mean, square, step: 1, ...rates }));
  return {
    name: `adamwStep ${shape.join("x")}, new tensors`,
    sets: 1,
    ours: finished(step),
    peers: { reference: finished(() => withKernels({ adamwStep: "adamwStep.reference" }, step)) },
    dispose: () => tf.dispose([value, gradient, mean, square]),
  };
}

/** softmax(q k^T / 8) v of all pairs that a causal mask leaves, of one batch row. */
function composedAttention({ q, k, v }: { q: Tensor; k: Tensor; v: Tensor }): Tensor {
  const length = q.shape[2]!;
  const positions = tf.range(0, length, 1, "int32");
  const allowed = tf.lessEqual(tf.expandDims(positions, 0), tf.expandDims(positions, 1));
  const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(HEAD));
  return tf.matMul(tf.softmax(tf.where(allowed, scores, tf.scalar(-1e30))), v);
}

/** The cases in such sizes, on the backend that is active. */
export function* kernelCases({ rows, width, heads, vocabulary }: KernelSizes): Generator<BenchCase> {
  const inner = INNER * width;
  const headRows = (draw: Draw, part: string): Tensor => draw(part, 1, heads, rows, HEAD);
  const qkv = (draw: Draw): Record<"q" | "k" | "v", Tensor> => ({
    q: headRows(draw, "q"),
    k: headRows(draw, "k"),
    v: headRows(draw, "v"),
  });
  const integers = (size: number, bound: number): Int32Array =>
    Int32Array.from({ length: size }, (_, i) => (i * 7919) % bound);
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
  yield* casesOf(
    `linear 1x${width}x${inner}`,
    linearOperation,
    (draw) => ({ x: draw("x", 1, width), weight: draw("weight", inner, width), bias: draw("bias", inner) }),
    (call) => plainLinear(call as ReturnType<typeof layer>),
  );
  yield* casesOf(
    `matmul ${heads}x128x64x128, b transposed`,
    matmulOperation,
    (draw) => ({ a: draw("a", heads, 128, 64), b: draw("b", heads, 128, 64), transposeB: true }),
    ({ a, b }) => tf.matMul(a, b, false, true),
  );
  const attention = `${heads} heads of ${HEAD}, causal, T ${rows}`;
  yield* casesOf(
    `attention, ${attention}`,
    attentionOperation,
    (draw) => ({ ...qkv(draw), pattern: causal() }),
    composedAttention,
  );
  for (const [chosen, selection] of Object.entries({
    all: {},
    "8 rows of 2": { heads: [0, heads - 1], rows: [...integers(8, rows)] },
  }))
    yield* casesOf(`attentionMaps, ${chosen} of ${attention}`, attentionMapsOperation, (draw) => ({
      ...qkv(draw),
      pattern: causal(),
      ...selection,
    }));
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
    x: headRows(draw, "x"),
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
    x: headRows(draw, "x"),
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
  yield adamwCase([width, inner]);
}
