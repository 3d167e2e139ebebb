import type { WasmOptions } from "@heddle/backend-wasm";
import { describe, expect, it } from "vitest";
import { generatedModel, generatorDifference, placeDifferences } from "./full-golden.ts";
import { readGolden } from "./golden.ts";
import { goldenModel, gradientDifference, outputDifferences } from "./model-golden.ts";
import type { GoldenFamily } from "./model-golden.ts";
import { useBackend } from "./use-backend.ts";
import type { BackendName } from "./use-backend.ts";

/** On which backend, and how far a model may be from its goldens. */
export interface ModelRule {
  readonly backend: BackendName;
  /** Of wasm. @default its own */
  readonly options?: WasmOptions;
  /** Greatest absolute difference of hidden states, logits, pooled output and loss. @default 1e-5, on webgpu 1e-4 */
  readonly forward?: number;
  /** Greatest difference of a gradient, as a share of the golden's largest entry. @default 1e-4, on webgpu 1e-3 */
  readonly gradient?: number;
}

const caseOf = (url: URL): string => url.pathname.split("/").at(-1)!.replace(".safetensors", "");

/**
 * A family of models against goldens, forward and backward, on one backend: the weights are loaded as a Hugging Face
 * checkpoint, every hidden state, the logits, the pooled output and the loss are compared, then all gradients.
 * What a golden holds: tools/reference/README.md.
 */
export function testModel(family: GoldenFamily, goldens: readonly URL[], rule: ModelRule): void {
  const { backend, options, forward = backend === "webgpu" ? 1e-4 : 1e-5 } = rule;
  const { gradient = backend === "webgpu" ? 1e-3 : 1e-4 } = rule;
  describe(`${family.family.family} goldens on ${backend}`, () => {
    useBackend(backend, options);
    for (const url of goldens)
      it(caseOf(url), async () => {
        const golden = await readGolden(url);
        const model = await goldenModel(golden, family);
        try {
          for (const { output, difference } of await outputDifferences(golden, model, family))
            expect(difference, output).toBeLessThan(forward);
          const gradients = await gradientDifference(golden, model, family);
          if (gradients !== undefined) expect(gradients, "gradients").toBeLessThan(gradient);
        } finally {
          model.dispose();
        }
      });
  });
}

/**
 * A family against its full-size goldens on one backend: weights made from a seed, the last hidden state and the
 * logits compared at the golden's places. Needs about 2 GB.
 */
export function testFullModel(
  family: GoldenFamily,
  goldens: readonly URL[],
  { backend, options, forward = 2e-4 }: Omit<ModelRule, "gradient">,
): void {
  describe(`${family.family.family} full-size goldens on ${backend}`, () => {
    useBackend(backend, options);
    for (const url of goldens)
      it(caseOf(url), async () => {
        const golden = await readGolden(url);
        expect(generatorDifference(golden), "generated weights").toBe(0);
        const model = generatedModel(golden, family);
        try {
          for (const { output, difference } of await placeDifferences(golden, model, family))
            expect(difference, output).toBeLessThan(forward);
        } finally {
          model.dispose();
        }
      });
  });
}
