import * as tf from "@tensorflow/tfjs-core";
import { attention } from "@heddle/attention";
import { differentiate } from "@heddle/core";
import { expect } from "vitest";
import { largestDifference, relativeDifference } from "./difference.ts";
import type { Differences } from "./difference.ts";
import { finiteDifferences, preparePlainAttention } from "./plain-attention.ts";
import type { PlainAttentionCall } from "./plain-attention.ts";
import { drawTensor, plainInputs, tensorCall } from "./random-attention.ts";

/** How far an attention call may be from the definition. */
export interface AttentionRule {
  /** Greatest absolute difference of the output. @default 1e-5 */
  readonly forward?: number;
  /** Greatest difference of all gradients, as a share of their largest entry. @default 1e-4 */
  readonly gradient?: number;
}

/**
 * Runs a call on the active backend and compares its output with that of `plainAttention`, and its gradients by q, k, v
 * and every table with the finite differences. Frees what it makes.
 */
export async function attentionDifferences(plain: PlainAttentionCall): Promise<Differences> {
  const prepared = preparePlainAttention(plain);
  const { call, tensors } = tensorCall(plain);
  const [batch, heads, queries] = plain.q.shape;
  const cotangent = drawTensor([batch, heads, queries, plain.v.shape[3]], 99, "dy");
  const dy = tf.tensor4d(Float32Array.from(cotangent.values), [...cotangent.shape]);
  const { value, gradients } = differentiate(() => attention(call), Object.values(tensors), dy);
  const found = await value.data();
  const inputs = Object.values(plainInputs(plain));
  expect(gradients.map((slope) => slope!.shape)).toEqual(inputs.map(({ shape }) => shape));
  const slopes = await Promise.all(gradients.map(async (slope) => [...(await slope!.data())]));
  tf.dispose([...Object.values(tensors), dy, value, ...gradients.map((slope) => slope!)]);
  const output = largestDifference(found, prepared().output);
  const weighed = (): number =>
    prepared().output.reduce((sum, x, i) => sum + x * Math.fround(cotangent.values[i]!), 0);
  const expected = inputs.flatMap(({ values }) => [...finiteDifferences(weighed, values)]);
  return { output, gradient: relativeDifference(slopes.flat(), expected) };
}

/** Asserts that those differences are small. */
export async function expectAttention(plain: PlainAttentionCall, rule: AttentionRule = {}): Promise<void> {
  const { forward = 1e-5, gradient: gradientRule = 1e-4 } = rule;
  const { output, gradient } = await attentionDifferences(plain);
  expect(output, "output").toBeLessThan(forward);
  expect(gradient, "gradients").toBeLessThan(gradientRule);
}
