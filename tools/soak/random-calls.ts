// Calls of random shapes, each run by the backend's kernel and by the reference.
import { attentionOperation, softCap } from "@heddle/attention";
import type { TokenAttributes } from "@heddle/attention";
import {
  drawAttributes,
  drawn,
  kernelResults,
  largestDifference,
  patternSamples,
  relativeDifference,
} from "@heddle/conformance";
import {
  activationOperation,
  activations,
  activeBackend,
  chooseTokenOperation,
  crossEntropyOperation,
  dropoutOperation,
  embeddingOperation,
  explain,
  kernelsFor,
  layerNormOperation,
  linearOperation,
  matmulOperation,
  residualOperation,
  rmsNormOperation,
  rotaryOperation,
  transposeOperation,
} from "@heddle/core";
import type { Kernel, Operation } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Draw } from "./draw.ts";

/** A call to be made as often as it is asked for. */
interface RandomCall {
  readonly operation: Operation<never>;
  readonly make: () => never;
  readonly name: string;
  readonly differentiable: boolean;
}

function callOf<C>(operation: Operation<C>, facts: object, make: () => C, differentiable = true): RandomCall {
  const name = `${operation.name} ${JSON.stringify(facts)}`;
  return { operation: operation as Operation<never>, make: make as () => never, name, differentiable };
}

const integers = (length: number, f: (i: number) => number): Int32Array =>
  Int32Array.from({ length }, (_, i) => f(i));

/** By operation. */
const calls: readonly ((draw: Draw) => RandomCall)[] = [
  (draw) => {
    const [rows, into, out] = [draw.size(300), draw.size(500), draw.size(500)];
    const layout = draw.one(["linear", "conv1d"] as const);
    const activation = draw.one([undefined, ...activations]);
    const packing = draw.chance(0.5) ? activeBackend()?.packing : undefined;
    const facts = { rows, into, out, layout, activation, packed: packing !== undefined };
    const make = () => {
      const shape = layout === "linear" ? [out, into] : [into, out];
      const weight = drawn("weight", shape, { scale: 1 / Math.sqrt(into) });
      return {
        x: drawn("x", [rows, into]),
        weight: packing
          ? { kind: "packed" as const, packing, layout, shape, values: packing.pack(weight, layout) }
          : weight,
        bias: drawn("bias", [out]),
        layout,
        ...(activation && { activation }),
      };
    };
    return callOf(linearOperation, facts, make, !packing);
  },
  (draw) => {
    const [batch, rows, inner, columns] = [draw.size(6), draw.size(100), draw.size(100), draw.size(100)];
    const [transposeA, transposeB] = [draw.chance(0.5), draw.chance(0.5)];
    const scale = 1 / Math.sqrt(inner);
    return callOf(matmulOperation, { batch, rows, inner, columns, transposeA, transposeB }, () => ({
      a: drawn("a", transposeA ? [batch, inner, rows] : [batch, rows, inner], { scale }),
      b: drawn("b", transposeB ? [batch, columns, inner] : [batch, inner, columns]),
      transposeA,
      transposeB,
    }));
  },
  (draw) => {
    const [rows, width] = [draw.size(300), draw.integer(2, 700)];
    return callOf(layerNormOperation, { rows, width }, () => ({
      x: drawn("x", [rows, width]),
      weight: drawn("weight", [width]),
      bias: drawn("bias", [width]),
    }));
  },
  (draw) => {
    const [rows, width] = [draw.size(300), draw.integer(2, 700)];
    return callOf(rmsNormOperation, { rows, width }, () => ({
      x: drawn("x", [rows, width]),
      weight: drawn("weight", [width]),
    }));
  },
  (draw) => {
    const [rows, classes] = [draw.size(100), draw.integer(2, 3000)];
    return callOf(crossEntropyOperation, { rows, classes }, () => ({
      logits: drawn("logits", [rows, classes]),
      labels: integers(rows, (i) => (i * 7919) % classes),
    }));
  },
  (draw) => {
    const [rows, vocabulary] = [draw.size(20), draw.integer(2, 3000)];
    const [topK, place] = [draw.integer(1, vocabulary), 0.01 * draw.integer(0, 99)];
    return callOf(chooseTokenOperation, { rows, vocabulary, topK, place }, () => ({
      logits: drawn("logits", [rows, vocabulary]),
      ...(place > 0.3 && {
        draw: { temperature: 1, topK, places: Array.from({ length: rows }, () => place) },
      }),
    }));
  },
  (draw) => {
    const [shape, kind] = [[draw.size(300), draw.size(300)], draw.one(activations)];
    return callOf(activationOperation, { shape, kind }, () => ({ x: drawn("x", shape), kind }));
  },
  (draw) => {
    const shape = [draw.size(8), draw.size(100), draw.size(300)];
    const ofRow = draw.chance(0.5);
    return callOf(residualOperation, { shape, ofRow }, () => ({
      x: drawn("x", shape),
      y: drawn("y", ofRow ? shape.slice(1) : shape),
    }));
  },
  (draw) => {
    const [shape, rate, seed] = [
      [draw.size(300), draw.size(300)],
      0.1 * draw.integer(1, 9),
      draw.integer(0, 99),
    ];
    return callOf(dropoutOperation, { shape, rate, seed }, () => ({
      x: drawn("x", shape),
      rate,
      address: { seed },
    }));
  },
  (draw) => {
    const [rows, width, length] = [draw.size(1000), draw.size(300), draw.size(500)];
    return callOf(embeddingOperation, { rows, width, length }, () => ({
      table: drawn("table", [rows, width]),
      ids: tf.tensor1d(
        integers(length, (i) => (i * 7919) % rows),
        "int32",
      ),
    }));
  },
  (draw) => {
    const [batch, heads, length, width] = [draw.size(3), draw.size(8), draw.size(200), 2 * draw.size(64)];
    return callOf(rotaryOperation, { batch, heads, length, width }, () => ({
      x: drawn("x", [batch, heads, length, width]),
      positions: integers(length, (i) => 3 * i),
    }));
  },
  (draw) => {
    const shape = [draw.size(3), draw.size(100), draw.size(12), draw.size(64)];
    return callOf(transposeOperation, { shape }, () => ({ x: drawn("x", shape), order: [0, 2, 1, 3] }));
  },
  (draw) => {
    const [batch, keyHeads, group] = [draw.size(3), draw.one([1, 2, 4]), 1];
    // The pattern samples are made for four heads.
    const heads = 4 * group;
    const [queries, width, valueWidth] = [draw.size(200), draw.size(64), draw.size(64)];
    const pattern = draw.one(patternSamples);
    const keys = draw.chance(0.7) ? queries : queries + draw.size(100);
    const capped = draw.chance(0.3);
    const cap = draw.integer(1, 100);
    const facts = {
      batch,
      heads,
      keyHeads,
      queries,
      keys,
      width,
      valueWidth,
      pattern: pattern.name,
      capped,
      cap,
    };
    return callOf(attentionOperation, facts, () => ({
      q: drawn("q", [batch, heads, queries, width], { scale: 1 }),
      k: drawn("k", [batch, keyHeads, keys, width]),
      v: drawn("v", [batch, keyHeads, keys, valueWidth]),
      pattern,
      queryOffset: keys - queries,
      attributes: withFirstToken(drawAttributes(batch, queries, keys)),
      ...(capped && { modifiers: [softCap({ cap })] }),
    }));
  },
];

/** The first token kept and global: no pattern then allows nothing at all, which a call must not. */
function withFirstToken(attributes: TokenAttributes): TokenAttributes {
  for (const name of ["keep", "global"]) attributes.key![name]![0] = 1;
  return attributes;
}

function sameBits(left: readonly ArrayLike<number>[], right: readonly ArrayLike<number>[]): boolean {
  return left.every((values, i) =>
    Array.prototype.every.call(values, (value, at) => Object.is(value, right[i]![at])),
  );
}

/** Runs a random call twice by the backend's kernel and once by the reference. @throws Error When they differ. */
export async function runRandomCall(draw: Draw): Promise<void> {
  const { operation, make, name, differentiable } = draw.one(calls)(draw);
  let chosen = "";
  tf.tidy(() => void (chosen = explain(operation, make()).kernel));
  const backend = tf.getBackend();
  const kernel = kernelsFor(operation.name, backend).find((one) => one.name === chosen) as
    Kernel<never> | undefined;
  if (!kernel) throw new Error(`${name}: a kernel of our own must run it, got ${chosen}`);
  const expected = await kernelResults(operation, operation.reference, make, differentiable);
  const found = await kernelResults(operation, kernel, make, differentiable);
  const again = await kernelResults(operation, kernel, make, differentiable);
  if (!sameBits(found.outputs, again.outputs) || !sameBits(found.gradients, again.gradients))
    throw new Error(`${name}: two runs must give the same bits, got others`);
  const forward = Math.max(
    ...found.outputs.map((values, i) => largestDifference(values, expected.outputs[i]!)),
  );
  if (!(forward <= 2e-5)) throw new Error(`${name}: the reference must be within 2e-5, got ${forward}`);
  found.gradients.forEach((values, i) => {
    const difference = relativeDifference(values, expected.gradients[i]!);
    if (!(difference <= 1e-4))
      throw new Error(`${name}: gradient ${i} must be within 1e-4, got ${difference}`);
  });
}
