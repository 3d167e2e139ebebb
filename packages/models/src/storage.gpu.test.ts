import { useBackend } from "@heddle/conformance";
import { activeBackend, createWeights } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";

const sizes = { vocabularySize: 45, maxLength: 12, width: 36, layers: 2, heads: 3 };
const inputs = { ids: [[1, 2, 3, 44]] };

describe("16-bit storage on webgpu", () => {
  useBackend("webgpu");

  it.each([
    ["gpt", "F16", gpt],
    ["gpt", "BF16", gpt],
    ["bert", "F16", bert],
  ] as const)(
    "computes with the matrices as they are, at half of the memory: %s %s",
    async (_, dtype, family) => {
      const made = family(sizes, createWeights({ seed: 3 }));
      const files = new Map<string, Blob>();
      await made.save(files, { dtype });
      made.dispose();
      const backend = activeBackend()!;
      const measure = async (storage: "f32" | "stored") => {
        const before = backend.memory().bytes;
        const { model } = await loadModel(files, { families: [family], storage });
        // Brings them to the device.
        model.forward(inputs).dispose();
        const bytes = backend.memory().bytes - before;
        await backend.finish();
        const out = model.forward(inputs);
        const programs: number = Reflect.get(tf.backend(), "dispatchCountInPass");
        const logits = [...(await out.logits!.data())];
        out.dispose();
        model.dispose();
        return { bytes, programs, logits };
      };
      const [stored, wide] = [await measure("stored"), await measure("f32")];
      expect(stored.logits).toEqual(wide.logits);
      expect(stored.programs).toBe(wide.programs);
      expect(stored.bytes / wide.bytes).toBeLessThan(0.56);
    },
  );
});
