import * as tf from "@tensorflow/tfjs-core";
import {
  bigBird,
  createKeyValueCache,
  fromInteger,
  modifier,
  score,
  slidingWindow,
  variables,
} from "@heddle/attention";
import { goldenModel, largestDifference, readGolden, useBackend } from "@heddle/conformance";
import type { BackendName } from "@heddle/conformance";
import { createWeights, startBackend } from "@heddle/core";
import type { StartedBackend } from "@heddle/core";
import { bert, gpt } from "@heddle/models";
import type { Model } from "@heddle/models";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { generateTokens } from "./generate-tokens.ts";
import type { TokenStep } from "./generate-tokens.ts";
import { greedyToken } from "./sampling.ts";
import type { GenerateTokensOptions } from "./token-options.ts";

const golden = await readGolden(new URL("./goldens/generation.safetensors", import.meta.url));
const cases = golden.info["options"] as Readonly<Record<string, { repetitionPenalty: number }>>;

/** The golden's prompt without its padding on the left. */
function prompts(name: string): number[][] {
  const ids = golden.integers(`${name}/input/input_ids`);
  const [batch, length] = golden.tensor(`${name}/input/input_ids`).shape as [number, number];
  const mask = golden.names.includes(`${name}/input/attention_mask`)
    ? golden.integers(`${name}/input/attention_mask`)
    : ids.map(() => 1);
  return Array.from({ length: batch }, (_, row) =>
    [...ids.keys()].filter((i) => Math.floor(i / length) === row && mask[i] === 1).map((i) => ids[i]!),
  );
}

async function all(model: Model, options: GenerateTokensOptions): Promise<TokenStep[]> {
  const steps: TokenStep[] = [];
  for await (const step of generateTokens(model, options)) steps.push(step);
  return steps;
}

const row = (steps: readonly TokenStep[], r: number): number[] =>
  steps.flatMap(({ ids }) => (ids[r] === null ? [] : [ids[r]!]));

async function tokens(model: Model, options: GenerateTokensOptions): Promise<number[]> {
  return row(await all(model, options), 0);
}

describe.each<BackendName>(["cpu", "wasm"])("generateTokens on %s", (backend) => {
  useBackend(backend);
  let model: Model;
  beforeAll(async () => {
    model = await goldenModel(golden, { family: gpt });
    model.forward({ ids: [1] }).dispose();
  });
  afterAll(() => model.dispose());

  it.each([
    ["greedy", true],
    ["greedy", false],
    ["greedy-padded", true],
    ["greedy-padded", false],
    ["greedy-penalty", true],
    ["greedy-penalty", false],
  ])("gives the tokens and logits of transformers: %s, cache %s", async (name, cache) => {
    const { repetitionPenalty } = cases[name]!;
    const ids = prompts(name);
    const steps = await all(model, { ids, maxNewTokens: 12, repetitionPenalty, cache, outputLogits: true });
    expect(ids.flatMap((_, r) => row(steps, r))).toEqual([...golden.integers(`${name}/output/tokens`)]);
    const found = steps.flatMap(({ logits }) => logits!.flatMap((values) => [...values!]));
    expect(largestDifference(found, golden.floats(`${name}/output/logits`))).toBeLessThan(1e-5);
  });

  it.each([true, false])(
    "gives each row of a ragged batch what it gives it alone: cache %s",
    async (cache) => {
      const ids = [[5], [7, 8, 9, 10, 11, 12], [1, 2, 3]];
      const endIds = [(await all(model, { ids, maxNewTokens: 4 }))[3]!.ids[1]!];
      const options = { maxNewTokens: 10, endIds, cache, outputLogits: true };
      const together = await all(model, { ids, ...options });
      expect(row(together, 1).length).toBeLessThan(10);
      for (const [r, prompt] of ids.entries()) {
        const alone = await all(model, { ids: prompt, ...options });
        expect(row(together, r)).toEqual(row(alone, 0));
        for (const [i, { logits }] of alone.entries())
          expect(largestDifference(together[i]!.logits![r]!, logits![0]!)).toBeLessThan(1e-5);
      }
    },
  );
});

describe("generateTokens", () => {
  useBackend("cpu");
  let model: Model;
  const models: Model[] = [];
  const swap = (swapped: Model): Model => {
    models.push(swapped);
    return swapped;
  };
  beforeAll(async () => {
    model = swap(await goldenModel(golden, { family: gpt }));
    model.forward({ ids: [1] }).dispose();
  });
  afterAll(() => models.toReversed().forEach((each) => each.dispose()));

  it("gives the same sampled tokens with a cache and without, for the same seed", async () => {
    const options = { ids: [[1, 2], [3]], maxNewTokens: 12, temperature: 1.3, topK: 30, topP: 0.95 };
    const first = (await all(model, { ...options, seed: 3 })).map(({ ids }) => ids);
    expect((await all(model, { ...options, seed: 3, cache: false })).map(({ ids }) => ids)).toEqual(first);
    expect((await all(model, { ...options, seed: 3, maxNewTokens: 5 })).map(({ ids }) => ids)).toEqual(
      first.slice(0, 5),
    );
    expect((await all(model, { ...options, seed: 4 })).map(({ ids }) => ids)).not.toEqual(first);
  });

  it("draws anew for each row and each token", async () => {
    const ids = Array.from({ length: 64 }, () => [9]);
    const [step] = await all(model, { ids, maxNewTokens: 1, temperature: 3 });
    expect(new Set(step!.ids).size).toBeGreaterThan(12);
  });

  it("is greedy unless sampling is asked for", async () => {
    const options = { ids: [4, 5], maxNewTokens: 8 };
    const greedy = await tokens(model, options);
    expect(await tokens(model, { ...options, seed: 9 })).toEqual(greedy);
    expect(await tokens(model, { ...options, temperature: 0, topK: 20 })).toEqual(greedy);
    expect(await tokens(model, { ...options, topK: 1 })).toEqual(greedy);
    expect(await tokens(model, { ...options, topK: 20, seed: 2 })).not.toEqual(greedy);
  });

  it("chooses only ids below a bound", async () => {
    const options = { ids: Array.from({ length: 40 }, (_, i) => [i]), maxNewTokens: 1, temperature: 5 };
    const highest = async (idsBelow?: number): Promise<number> =>
      Math.max(...(await all(model, { ...options, ...(idsBelow && { idsBelow }) }))[0]!.ids.map(Number));
    expect(await highest()).toBeGreaterThan(20);
    expect(await highest(20)).toBeLessThan(20);
  });

  describe("a cache of the caller's", () => {
    const prompt = [7, 8, 9, 10];
    const counted = (): { counting: Model; computed: number[] } => {
      const computed: number[] = [];
      const counting: Model = {
        ...model,
        forward(inputs, options) {
          computed.push((inputs.ids as number[][])[0]!.length);
          return model.forward(inputs, options);
        },
      };
      return { counting, computed };
    };

    it("is filled, and what it holds of a prompt is not computed again", async () => {
      const expected = await tokens(model, { ids: prompt, maxNewTokens: 6 });
      const cache = createKeyValueCache({ layers: 2, capacity: 32 });
      const { counting, computed } = counted();
      try {
        expect(await tokens(counting, { ids: prompt, maxNewTokens: 6, cache })).toEqual(expected);
        expect(cache.lengths).toEqual([9]);
        expect(computed.splice(0)).toEqual([4, 1, 1, 1, 1, 1]);
        cache.truncate(4);
        expect(await tokens(counting, { ids: prompt, maxNewTokens: 6, cache })).toEqual(expected);
        expect(computed.splice(0)).toEqual([1, 1, 1, 1, 1, 1]);
        const longer = [...prompt, ...expected, 11, 12];
        expect(await tokens(counting, { ids: longer, maxNewTokens: 3, cache })).toEqual(
          await tokens(model, { ids: longer, maxNewTokens: 3 }),
        );
        expect(computed).toEqual([3, 1, 1]);
      } finally {
        cache.dispose();
      }
    });

    it("may hold more of one row than of another, even where the rest does not fit beside it", async () => {
      const ids = [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [9, 10, 11, 12, 13, 14],
      ];
      const expected = (await all(model, { ids, maxNewTokens: 3 })).map((step) => step.ids);
      for (const held of [
        [7, 5],
        [7, 0],
        [2, 4],
      ]) {
        const cache = createKeyValueCache({ layers: 2, batch: 2, capacity: 10 });
        await all(model, { ids, maxNewTokens: 1, cache });
        cache.truncate(held);
        expect((await all(model, { ids, maxNewTokens: 3, cache })).map((step) => step.ids)).toEqual(expected);
        cache.dispose();
      }
    });

    it("may have more room than the model has positions", async () => {
      const ids = [Array.from({ length: 28 }, (_, i) => i), Array.from({ length: 20 }, (_, i) => 40 - i)];
      const expected = (await all(model, { ids, maxNewTokens: 3 })).map((step) => step.ids);
      const cache = createKeyValueCache({ layers: 2, batch: 2, capacity: 64 });
      await all(model, { ids, maxNewTokens: 1, cache });
      cache.truncate([27, 0]);
      expect((await all(model, { ids, maxNewTokens: 3, cache })).map((step) => step.ids)).toEqual(expected);
      cache.dispose();
    });

    it("is refused when it cannot serve, or when somebody else moves it", async () => {
      const small = createKeyValueCache({ layers: 2, capacity: 8 });
      const attempt = (options: Partial<GenerateTokensOptions>) => () =>
        generateTokens(model, { ids: prompt, maxNewTokens: 6, cache: small, ...options });
      expect(attempt({})).toThrow("generate: cache must have a capacity of 9 tokens or more, got 8");
      expect(attempt({ ids: [[1], [2]] })).toThrow("generate: cache must have 2 rows, as the ids, got 1");
      const other = createKeyValueCache({ layers: 3, capacity: 16 });
      expect(attempt({ cache: other })).toThrow("generate: cache must have 2 layers, as the model, got 3");
      const steps = attempt({ maxNewTokens: 3 })();
      await steps.next();
      small.truncate(2);
      await expect(steps.next()).rejects.toThrow("as this generation left it, got [2]");
      expect(attempt({ maxNewTokens: 3, ids: [1] })).toThrow(
        "generate: cache must hold at most the 1 tokens of prompt 0",
      );
      small.dispose();
    });
  });

  describe("a full context", () => {
    const ids = Array.from({ length: 30 }, (_, i) => (7 * i) % 61);

    it("is refused before anything is computed", () => {
      expect(() => generateTokens(model, { ids, maxNewTokens: 4 })).toThrow(
        'generate: prompt and maxNewTokens must fit into the context of 32 tokens (use fewer, or whenFull: "slide"), got "30 + 4"',
      );
    });
    it("takes one new token more than it sees", async () => {
      expect(await tokens(model, { ids, maxNewTokens: 3 })).toHaveLength(3);
    });

    it.each([true, false])("slides when asked: cache %s", async (cache) => {
      const rows = [ids.slice(0, 5), ids, [...ids, ...ids]];
      const steps = await all(model, { ids: rows, maxNewTokens: 8, whenFull: "slide", cache });
      for (const [r, prompt] of rows.entries()) {
        const said = [...prompt];
        for (let i = 0; i < 8; i++) {
          const output = model.forward({ ids: said.slice(-32) }, { logits: "last" });
          said.push(greedyToken((await output.logits!.data()) as Float32Array));
          output.dispose();
        }
        expect(row(steps, r)).toEqual(said.slice(prompt.length));
      }
    });

    it("slides past a row that ended with a full window, in a cache with more room than that", async () => {
      const rows = [[...ids, 1, 2], [3]];
      const options = { ids: rows, maxNewTokens: 6, whenFull: "slide" } as const;
      const endIds = [(await all(model, { ...options, cache: false }))[0]!.ids[0]!];
      const expected = await all(model, { ...options, endIds, cache: false });
      expect(row(expected, 0)).toHaveLength(1);
      expect(row(expected, 1).length).toBeGreaterThan(1);
      const cache = createKeyValueCache({ layers: model.config.layers, batch: 2, capacity: 48 });
      const steps = await all(model, { ...options, endIds, cache });
      cache.dispose();
      expect(steps.map((step) => step.ids)).toEqual(expected.map((step) => step.ids));
    });

    it("may be longer where positions are not learned", async () => {
      const far = swap(
        model.with({ position: { kind: "position", name: "none", options: {}, build: () => ({}) } }),
      );
      const options = { ids, maxNewTokens: 20, contextLength: Infinity };
      expect(await tokens(far, options)).toEqual(await tokens(far, { ...options, cache: false }));
      await expect(tokens(model, options)).rejects.toThrow("the number of positions");
    });
  });

  it("serves attention that no cache can, rows of a batch alike", async () => {
    const sparse = swap(
      model.with({ attention: bigBird({ block: 4, window: 1, global: 1, random: 1, seed: 1 }) }),
    );
    expect(sparse.cacheable).toBe(false);
    const ids = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [4, 3, 2], Array.from({ length: 20 }, (_, i) => i)];
    const together = await all(sparse, { ids, maxNewTokens: 4 });
    for (const [r, prompt] of ids.entries())
      expect(row(together, r)).toEqual(await tokens(sparse, { ids: prompt, maxNewTokens: 4 }));
    const cache = createKeyValueCache({ layers: 2, capacity: 32 });
    expect(() => generateTokens(sparse, { ids: [1], maxNewTokens: 4, cache })).toThrow(
      "generate: cache must not be given to a model whose attention does not work with one",
    );
  });

  it("runs without a cache where a modifier reads the length", async () => {
    const perKey = modifier("per-key", {}, score.times(fromInteger(variables.keyLength)).dividedBy(8));
    const growing = swap(model.with({ modifiers: [perKey] }));
    const options = { ids: [1, 2, 3], maxNewTokens: 4 };
    const expected = await tokens(growing, { ...options, cache: false });
    expect(await tokens(growing, options)).toEqual(expected);
    const cache = createKeyValueCache({ layers: 2, capacity: 32 });
    expect(() => generateTokens(growing, { ...options, cache })).toThrow(
      "generate: cache must not be given to a model whose attention does not work with one",
    );
  });

  it("gives the same with and without a cache under another attention", async () => {
    const local = swap(model.with({ attention: slidingWindow({ before: 2 }) }));
    const options = {
      ids: [
        [1, 2, 3, 4],
        [5, 6],
      ],
      maxNewTokens: 12,
    };
    const [first, second] = [await all(local, options), await all(local, { ...options, cache: false })];
    expect(first.map(({ ids }) => ids)).toEqual(second.map(({ ids }) => ids));
  });

  it("frees all when the loop is left", async () => {
    const before = tf.memory().numTensors;
    for await (const { index } of generateTokens(model, { ids: [[1, 2], [3]], maxNewTokens: 20 }))
      if (index === 3) break;
    expect(tf.memory().numTensors).toBe(before);
    generateTokens(model, { ids: [1, 2], maxNewTokens: 20 });
    expect(tf.memory().numTensors).toBe(before);
  });

  it("frees all when it is aborted, by a timer too", async () => {
    const before = tf.memory().numTensors;
    const controller = new AbortController();
    const steps = generateTokens(model, { ids: [1, 2], maxNewTokens: 20, signal: controller.signal });
    await steps.next();
    controller.abort(new Error("enough"));
    await expect(steps.next()).rejects.toThrow("enough");
    expect(tf.memory().numTensors).toBe(before);
    const late = new AbortController();
    const aborting: Model = {
      ...model,
      forward(inputs, options) {
        late.abort(new Error("while computing"));
        return model.forward(inputs, options);
      },
    };
    const one = generateTokens(aborting, { ids: [1], maxNewTokens: 1, signal: late.signal });
    await expect(one.next()).rejects.toThrow("while computing");
    expect(tf.memory().numTensors).toBe(before);
    const options = { ids: [1], maxNewTokens: 1e9, whenFull: "slide", contextLength: 2 } as const;
    await expect(
      (async () => {
        const start = performance.now();
        for await (const _ of generateTokens(model, { ...options, signal: AbortSignal.timeout(100) }))
          if (performance.now() - start > 5000) throw new Error("the timer never had its turn");
      })(),
    ).rejects.toThrow(/timeout/i);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("waits for no timer, which pages delay by a second in a tab behind others", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    let time = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => (time += 60));
    try {
      expect(await tokens(model, { ids: [1], maxNewTokens: 3 })).toHaveLength(3);
    } finally {
      clock.mockRestore();
      vi.useRealTimers();
    }
  });

  it("refuses to go on under another backend", async () => {
    const steps = generateTokens(model, { ids: [1, 2], maxNewTokens: 3 });
    await steps.next();
    class IdleBackend extends tf.KernelBackend {
      override dispose(): void {}
    }
    const start = async (): Promise<StartedBackend> => ({
      engine: new IdleBackend(),
      description: "computes nothing",
      kernels: [],
    });
    const other = await startBackend({ name: "idle", start });
    await expect(steps.next()).rejects.toThrow("generate: backend must stay cpu until the end, got idle");
    await other.dispose();
  });

  it("names the step of logits that are no numbers, and frees all", async () => {
    const sizes = { vocabularySize: 11, maxLength: 8, width: 24, layers: 1, heads: 3 };
    const broken = gpt(sizes, createWeights());
    const table = broken.parameters.find(({ name }) => name === "wpe.weight")!;
    const values = new Float32Array(table.size);
    values.fill(Number.NaN, 4 * sizes.width);
    table.assign(values);
    broken.forward({ ids: [1] }).dispose();
    const before = tf.memory().numTensors;
    const steps = generateTokens(broken, { ids: [[1], [1, 2]], maxNewTokens: 6 });
    for (let i = 0; i < 3; i++) await steps.next();
    await expect(steps.next()).rejects.toThrow(
      expect.objectContaining({
        code: "not-finite",
        message: 'generate: logits of new token 3, row 1 must be finite, got "NaN for id 0"',
      }),
    );
    expect(tf.memory().numTensors).toBe(before);
    broken.dispose();
  });

  it.each<[string, Partial<GenerateTokensOptions>]>([
    [
      "generate: options must have only the fields temperature, topK, topP, repetitionPenalty",
      { temprature: 1 } as object,
    ],
    ["generate: ids must hold at least one token, got []", { ids: [] }],
    ["generate: ids[1] must be a list of at least one token id, got []", { ids: [[1], []] }],
    ["generate: ids[0][1] must be from 0 to 60, the vocabulary's last id, got 61", { ids: [1, 61] }],
    ["generate: ids[0][0] must be from 0 to 60, the vocabulary's last id, got 1.5", { ids: [1.5] }],
    ["generate: maxNewTokens must be an integer >= 1, got 0", { maxNewTokens: 0 }],
    ["generate: temperature must be a number >= 0, got -0.5", { temperature: -0.5 }],
    ["generate: topP must be above 0 and at most 1, got 2", { topP: 2 }],
    ["generate: seed must be an integer >= 0, got -1", { seed: -1 }],
    ["generate: contextLength must be an integer >= 1, got 0", { contextLength: 0 }],
    ["generate: endIds must be an integer from 0 to 60, got 61", { endIds: [61] }],
    ["generate: idsBelow must be an integer from 1 to 61, got 62", { idsBelow: 62 }],
    ["generate: endIds must be a list of token ids, got null", { endIds: null as never }],
    ["generate: endIds must be a list of token ids, got 3", { endIds: 3 as never }],
    ["generate: signal must be an AbortSignal, got null", { signal: null as never }],
    ["generate: cache must be true, false or a KeyValueCache, got null", { cache: null as never }],
    ["generate: temperature must be a number >= 0, got null", { temperature: null as never }],
    ["generate: topK must be an integer >= 1, got null", { topK: null as never }],
  ])("says %s", (message, options) => {
    expect(() => generateTokens(model, { ids: [1], maxNewTokens: 2, ...options })).toThrow(message);
  });

  it("refuses what is no model, and no options", () => {
    expect(() => generateTokens(null as never, { ids: [1], maxNewTokens: 1 })).toThrow(
      "generate: model must be a model, gpt(…) for example, got null",
    );
    expect(() => generateTokens(model, undefined as never)).toThrow(
      "generate: options must be an object of temperature, topK,",
    );
  });

  it.each([1e300, 1e-300])("goes on under a repetition penalty of %d", async (repetitionPenalty) => {
    for (const temperature of [0, 1, 1e-300]) {
      const options = { ids: [1, 2, 3], maxNewTokens: 4, seed: 1, temperature, repetitionPenalty };
      const found = await tokens(model, options);
      expect(found).toHaveLength(4);
      // The greatest penalty leaves what was said, the least repeats it.
      const isNew = (id: number, at: number): boolean => ![1, 2, 3, ...found.slice(0, at)].includes(id);
      if (repetitionPenalty > 1) expect(found.every(isNew)).toBe(true);
      else expect(found.some(isNew)).toBe(false);
    }
  });

  it("refuses an encoder", () => {
    const encoder = swap(
      bert({ vocabularySize: 9, maxLength: 8, width: 4, layers: 1, heads: 1 }, createWeights()),
    );
    expect(() => generateTokens(encoder, { ids: [1], maxNewTokens: 1 })).toThrow(
      "generate: model must be a decoder, such as gpt, got bert, whose tokens see those after them",
    );
  });
});
