import {
  drawAttention,
  drawAttributes,
  expectAttention,
  patternSamples,
  useBackend,
} from "@heddle/conformance";
import type { AttentionSizes } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { fromInteger, lookup, score, variables } from "./expression/builders.ts";
import { not, pattern } from "./expression/pattern.ts";
import { patternToJSON } from "./expression/pattern-json.ts";
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
});
