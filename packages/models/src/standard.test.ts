import { causal, patternMask, slidingWindow, standardPatterns } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { HeddleError, createRegistry, createWeights, definePlugin } from "@heddle/core";
import type { EntryJson, RegistryKind } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { gpt } from "./gpt/gpt.ts";
import { readAttention } from "./read-heddle.ts";
import { standard } from "./standard.ts";

const registry = createRegistry(standard);

/** JSON of every entry but the models, with every option that the entry has. */
const samples: Readonly<Partial<Record<RegistryKind, readonly EntryJson[]>>> = {
  patterns: [
    { name: "full" },
    { name: "causal" },
    { name: "padding" },
    { name: "documents" },
    { name: "documents", attribute: "page" },
    { name: "prefix", length: 2 },
    { name: "prefix", attribute: "prompt" },
    { name: "sliding-window", before: 2, after: 1 },
    { name: "dilated", window: { before: 2, after: 1 }, dilation: [1, 2] },
    { name: "global-tokens", positions: [0, 3] },
    { name: "global-tokens", attribute: "question" },
    { name: "strided", stride: 2, heads: ["local", "strided"], direction: "both" },
    { name: "fixed", stride: 3, summary: 1, heads: ["summary", "local"], direction: "both" },
    { name: "block-table", block: 2, table: { bits: "DQ==", columns: 2, heads: 1, rows: 2 } },
    { name: "big-bird", block: 2, window: 1, global: 1, random: 1, seed: 3, direction: "past" },
    { name: "and", of: [{ name: "causal" }, { name: "sliding-window", before: 1, after: 0 }] },
    {
      name: "or",
      of: [
        { name: "not", of: { name: "causal" } },
        { name: "global-tokens", positions: [1] },
      ],
    },
    { name: "not", of: { name: "and", of: [{ name: "causal" }, { name: "full" }] } },
  ],
  mechanisms: [{ name: "longformer", window: 4, dilation: [1, 2] }],
  modifiers: [{ name: "soft-cap", cap: 30 }],
  positions: [
    { name: "learned" },
    { name: "alibi" },
    { name: "sinusoidal", layout: "concatenated", base: 100 },
    { name: "rotary", pairs: "interleaved", base: 500 },
    { name: "relative-bias", maxDistance: 3 },
  ],
};
const kinds = Object.keys(samples) as (keyof typeof samples)[];
const all = kinds.flatMap((kind) => samples[kind]!.map((json) => [kind, json] as const));

interface Named {
  readonly name: string;
  readonly options: object;
}

describe("standard", () => {
  it("has a sample here of every entry, and every pattern that patternFromJSON has", () => {
    for (const kind of kinds)
      expect([kind, [...new Set(samples[kind]!.map(({ name }) => name))].toSorted()]).toEqual([
        kind,
        registry.names(kind),
      ]);
    // Those that load at once (for patternFromJSON) are those that load when asked for.
    const known = [...Object.keys(standardPatterns), "and", "or", "not"];
    expect(known.toSorted()).toEqual(registry.names("patterns"));
    expect(registry.names("models")).toEqual(["bert", "gpt", "longformer"]);
  });

  it.each(all)("makes %s from %j, whose JSON makes the same", async (kind, json) => {
    const made = (await registry.create(kind, json)) as Named;
    const written = JSON.parse(JSON.stringify({ name: made.name, ...made.options })) as EntryJson;
    const given = samples[kind]!.filter(({ name }) => name === json.name).flatMap((sample) =>
      Object.keys(sample),
    );
    expect(given, "the samples leave an option to its default").toEqual(
      expect.arrayContaining(Object.keys(written)),
    );
    expect(written).toMatchObject(json);
    const again = (await registry.create(kind, written)) as Named;
    expect({ name: again.name, ...again.options }).toEqual(written);
    const misspelt = { ...json, befor: 1 };
    await expect(registry.create(kind, misspelt)).rejects.toMatchObject({ code: "invalid-data" });
    await expect(registry.create(kind, misspelt)).rejects.toThrow(/only the (option|field)s .*"befor"/);
  });

  it("makes patterns that join what they are made of", async () => {
    const pattern = await readAttention(
      {
        name: "and",
        of: [
          { name: "not", of: { name: "causal" } },
          { name: "sliding-window", before: 0, after: 1 },
        ],
      },
      registry,
    );
    if (pattern.kind !== "pattern") throw new Error(pattern.kind);
    const { bits } = patternMask(pattern, { heads: 1, queryRows: 3, keyLength: 3 });
    expect([...bits]).toEqual([0, 1, 0, 0, 0, 1, 0, 0, 0]);
    expect((await readAttention({ name: "longformer", window: 2 }, registry)).kind).toBe("mechanism");
  });

  it("makes something or throws a HeddleError whatever an option is", async () => {
    const wrong: unknown[] = [
      undefined,
      null,
      true,
      "",
      "x",
      [],
      {},
      [0, 1],
      -1,
      0,
      1.5,
      1e9,
      2 ** 53,
      NaN,
      [null],
      [[]],
      [{}],
      [{ name: "and" }],
      { name: "not" },
      { name: 3 },
      "x".repeat(5000),
    ];
    let made = 0;
    let refused = 0;
    const attempt = async (kind: keyof typeof samples, json: EntryJson): Promise<void> => {
      try {
        const value = await registry.create(kind, json);
        if ("resolve" in value) value.resolve({ heads: 2, queryLength: 6, keyLength: 6 });
        made++;
      } catch (error) {
        if (!(error instanceof HeddleError))
          throw new Error(`${kind} ${JSON.stringify(json)}`, { cause: error });
        refused++;
      }
    };
    for (const [kind, json] of all)
      for (const value of wrong) {
        for (const option of Object.keys(json))
          await attempt(kind, { ...json, [option]: value } as EntryJson);
        const { window } = json as { window?: object };
        if (typeof window === "object")
          await attempt(kind, { ...json, window: { ...window, before: value } });
      }
    for (const kind of kinds) for (const value of wrong) await attempt(kind, value as EntryJson);
    expect(made).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(500);
  });

  it("refuses patterns nested or joined without end", async () => {
    let deep: EntryJson = { name: "full" };
    for (let i = 0; i < 5000; i++) deep = { name: "not", of: deep };
    await expect(registry.create("patterns", deep)).rejects.toThrow("be nested at most 32 deep");
    const wide = { name: "or", of: Array.from({ length: 2000 }, () => ({ name: "full" })) };
    await expect(registry.create("patterns", wide)).rejects.toThrow("be a list of at most 1024 patterns");
  });
});

describe("models from JSON", () => {
  useBackend("cpu");

  it("are presets with options over them, weights from the seed, and swaps by name", async () => {
    const small = { vocabularySize: 11, maxLength: 6, width: 8, layers: 2, heads: 2 };
    for (const name of ["gpt", "bert", "longformer"]) {
      const preset = name === "longformer" ? "base" : "tiny";
      const model = await registry.create("models", {
        name,
        preset,
        ...small,
        seed: 4,
        attention: [
          { name: "longformer", window: 2 },
          { name: "sliding-window", before: 1 },
        ],
        position: { name: "alibi" },
      });
      expect(model.family).toBe(name);
      expect(model.config).toMatchObject({ ...small, position: { name: "alibi" } });
      const out = model.forward({ ids: [[1, 2, 3]] });
      expect(out.logits!.shape).toEqual([1, 3, 11]);
      out.dispose();
      model.dispose();
    }
    const model = await registry.create("models", { name: "gpt", ...small, seed: 4 });
    const same = gpt(small, createWeights({ seed: 4 }));
    expect(await model.parameters[0]!.tensor().data()).toEqual(await same.parameters[0]!.tensor().data());
    model.dispose();
    same.dispose();
  });

  it("are the published sizes, and one layer of swap for all", async () => {
    const model = await registry.create("models", {
      name: "gpt",
      preset: "gpt2-xl",
      attention: { name: "causal" },
    });
    expect(model.parameterCount()).toBe(1_557_611_200);
  });

  it.each([
    [
      { name: "gpt", preset: "huge" },
      'gpt: preset must be one of tiny, gpt2, gpt2-medium, gpt2-large, gpt2-xl, got "huge"',
    ],
    [
      { name: "gpt", preset: "toString" },
      'gpt: preset must be one of tiny, gpt2, gpt2-medium, gpt2-large, gpt2-xl, got "toString"',
    ],
    [{ name: "gtp" }, 'registry: models name must be one of bert, gpt, longformer, got "gtp"'],
    [{ name: "gpt", preset: "tiny", seed: -1 }, "gpt: seed must be an integer >= 0, got -1"],
    [{ name: "gpt", preset: "tiny", width: "8" }, 'gpt: width must be an integer >= 1, got "8"'],
    [
      { name: "gpt", preset: "tiny", attention: "causal" },
      'registry: patterns must be an object with a name, {"name": …}, got "causal"',
    ],
    [{ name: "bert", preset: "tiny", widht: 8 }, 'got "widht"'],
  ])("are refused by name: %j", async (json, message) => {
    await expect(registry.create("models", json)).rejects.toThrow(message);
  });
});

describe("a plugin", () => {
  it("adds names, and may not take one that is there", async () => {
    const acme = definePlugin({
      name: "acme",
      patterns: { near: ({ by }: { by: number }) => slidingWindow({ before: by }) },
    });
    const both = createRegistry(standard, acme);
    expect(both.has("patterns", "near")).toBe(true);
    expect(both.names("patterns")).toContain("near");
    expect(() => createRegistry(standard, definePlugin({ name: "again", patterns: { causal } }))).toThrow(
      'createRegistry: patterns "causal" must come from one plugin, got standard and again',
    );
    expect(() => createRegistry(acme, acme)).toThrow(
      'createRegistry: patterns "near" must come from one plugin, got acme and acme',
    );
    await expect(both.create("patterns", { name: "far" })).rejects.toThrow(
      "registry: patterns name must be one of and, big-bird",
    );
  });
});
