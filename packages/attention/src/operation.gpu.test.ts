import {
  drawAttention,
  drawAttributes,
  expectAttention,
  largestDifference,
  patternSamples,
  plainAttention,
  tensorCall,
  useBackend,
} from "@heddle/conformance";
import type { AttentionSizes } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { fromInteger, lookup, score, variables } from "./expression/builders.ts";
import { not, pattern } from "./expression/pattern.ts";
import { patternToJSON } from "./expression/pattern-json.ts";
import { attentionMaps } from "./maps.ts";
import { causal } from "./patterns/causal.ts";

const sizes: AttentionSizes = {
  batch: 2,
  heads: 4,
  keyHeads: 2,
  queries: 5,
  keys: 7,
  width: 3,
  valueWidth: 2,
};
const rule = { forward: 1e-4, gradient: 1e-3 };
const { query, key } = variables;

describe("attention on webgpu", () => {
  useBackend("webgpu");

  it.each(patternSamples.map((each) => [JSON.stringify(patternToJSON(each)), each] as const))(
    "is the definition, forward and backward: %s",
    async (_, each) => {
      const attributes = drawAttributes(2, sizes.queries, sizes.keys);
      await expectAttention(drawAttention(sizes, { pattern: each, attributes, queryOffset: [2, 1] }), rule);
    },
  );

  it("drops, leaves rows empty, and starts rows where it is told", async () => {
    const empty = pattern("odd-rows", {}, ({ query }) => query.modulo(2).equals(1));
    const dropout = { rate: 0.4, address: { seed: 3, path: "layer.dropout", step: 2 } };
    await expectAttention(drawAttention(sizes, { pattern: not(empty), dropout, keyLength: 6 }), rule);
  });

  it("modifies scores by tables with gradients", async () => {
    const distance = key.minus(query);
    const slopes = score.plus(lookup("slopes", 0).times(fromInteger(distance)));
    const bias = score.plus(lookup("bias", distance.plus(variables.head)));
    await expectAttention(
      drawAttention(sizes, { pattern: causal(), queryOffset: 2 }, [
        { score: slopes.node, tables: { slopes: [1, 4, 1, 1] } },
        { score: score.dividedBy(2).tanh().times(2).node },
        { score: bias.node, tables: { bias: [1, 4, 5, 6] } },
      ]),
      rule,
    );
    expect.hasAssertions();
  });

  it("gives maps of chosen heads and rows", async () => {
    const plain = drawAttention(sizes, { pattern: causal(), queryOffset: [2, 0] });
    const { probabilities } = plainAttention(plain);
    const { call, tensors } = tensorCall(plain);
    const maps = attentionMaps(call, { heads: [2], rows: [4, 1] });
    const row = (b: number, i: number): Float64Array =>
      probabilities.subarray(((b * 4 + 2) * 5 + i) * 7, ((b * 4 + 2) * 5 + i + 1) * 7);
    const wanted = [0, 1].flatMap((b) => [4, 1].flatMap((i) => [...row(b, i)]));
    expect(largestDifference(await maps.data(), wanted)).toBeLessThan(1e-5);
    tf.dispose([...Object.values(tensors), maps]);
  });
});
