import { countDevice, goldenModel, readGolden, useBackend } from "@heddle/conformance";
import { gpt } from "@heddle/models";
import type { Model } from "@heddle/models";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateTokens } from "./generate-tokens.ts";

describe("generateTokens on webgpu", () => {
  useBackend("webgpu");
  const url = new URL("./goldens/generation.safetensors", import.meta.url);
  let model: Model;
  beforeAll(async () => {
    model = await goldenModel(await readGolden(url), { family: gpt });
    model.forward({ ids: [1] }).dispose();
  });
  afterAll(() => model.dispose());

  it.each([true, false])("gives the tokens of transformers: cache %s", async (cache) => {
    const golden = await readGolden(url);
    const ids = [...golden.integers("greedy/input/input_ids")];
    const found: number[] = [];
    for await (const step of generateTokens(model, { ids, maxNewTokens: 4, cache })) found.push(step.ids[0]!);
    expect(found).toEqual([...golden.integers("greedy/output/tokens").subarray(0, 4)]);
  });

  it("gives a ragged batch what each row gives alone, and frees all when the loop is left", async () => {
    const ids = [[1, 2, 3, 4], [5]];
    const alone: number[] = [];
    for (const row of ids)
      for await (const step of generateTokens(model, { ids: row, maxNewTokens: 2 })) alone.push(step.ids[0]!);
    const together: (number | null)[][] = [];
    for await (const step of generateTokens(model, { ids, maxNewTokens: 9 })) {
      together.push([...step.ids]);
      if (step.index === 1) break;
    }
    expect([0, 1].flatMap((row) => together.map((step) => step[row]))).toEqual(alone);
  });

  it.each([{}, { topK: 5, temperature: 0.8 }])(
    "reads 4 bytes a token, and submits at most twice: %j",
    async (options) => {
      const counter = countDevice();
      try {
        for await (const { index } of generateTokens(model, {
          ids: [1, 2, 3],
          maxNewTokens: 5,
          ...options,
        })) {
          const { submits, reads } = counter.take();
          if (index === 0) continue;
          expect(submits).toBeLessThanOrEqual(2);
          expect(submits).toBeGreaterThan(0);
          expect(reads).toEqual([4]);
        }
      } finally {
        counter.stop();
      }
    },
  );
});
