/// <reference types="vite/client" />
import {
  goldenFamilies,
  goldenModel,
  outputDifferences,
  readGolden,
  testModel,
  useBackend,
  wasmVariants,
} from "@heddle/conformance";
import { describe, expect, it } from "vitest";

const files = Object.keys(import.meta.glob(["./*/goldens/*", "!**/full-*"]));
// Vite knows this form of a URL in a page.
const small = (family: string): URL[] =>
  files
    .flatMap((file) => file.split(`./${family}/goldens/`)[1] ?? [])
    .map((name) => new URL(`./${family}/goldens/${name}`, import.meta.url));

for (const settings of goldenFamilies) {
  const goldens = small(settings.family.family);
  testModel(settings, goldens, { backend: "cpu" });
  describe.each(wasmVariants)("%j", (options) => testModel(settings, goldens, { backend: "wasm", options }));
}

describe("the comparison with goldens", () => {
  useBackend("cpu");

  it("finds the small cases of every family", () => {
    expect(goldenFamilies.map(({ family: { family } }) => [family, small(family).length])).toEqual([
      ["gpt", 4],
      ["bert", 6],
      ["longformer", 6],
    ]);
  });

  it("sees one weight that is off by 1e-3", async () => {
    const [settings] = goldenFamilies;
    const golden = await readGolden(new URL("./gpt/goldens/plain.safetensors", import.meta.url));
    const model = await goldenModel(golden, settings!);
    const bias = model.weights.declared.get("h.1.mlp.c_fc.bias")!;
    const values = new Float32Array(await bias.tensor().data());
    values[3]! += 1e-3;
    bias.assign(values);
    const { output, difference } = (await outputDifferences(golden, model, settings!)).find(
      (found) => found.difference > 1e-5,
    )!;
    // The states before the second block do not know of it.
    expect(output).toBe("hidden_states.2");
    expect(difference).toBeGreaterThan(1e-4);
    model.dispose();
  });
});
