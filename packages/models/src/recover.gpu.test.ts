import { createKeyValueCache } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { activeBackend, createWeights } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";
import type { Model } from "./model.ts";

const sizes = { vocabularySize: 11, maxLength: 12, width: 8, layers: 1, heads: 2 };
const families = [bert, gpt];
const inputs = { ids: [[1, 2, 3]] };

async function logits(model: Model): Promise<number[]> {
  const out = model.forward(inputs);
  try {
    return [...(await out.logits!.data())];
  } finally {
    out.dispose();
  }
}

/** Loses the device of the active backend. */
async function loseDevice(): Promise<void> {
  const device: { destroy(): void; lost: Promise<unknown> } = Reflect.get(tf.backend(), "device");
  device.destroy();
  await device.lost;
}

describe("models on a lost device", () => {
  useBackend("webgpu");

  it.each([
    ["an encoder", bert, "f32"],
    ["a decoder", gpt, "f32"],
    ["16-bit weights", gpt, "stored"],
  ] as const)("come back to the last bit: %s", async (_, family, storage) => {
    const files = new Map<string, Blob>();
    const made = family(sizes, createWeights({ seed: 3 }));
    await made.save(files, { dtype: storage === "stored" ? "F16" : "F32" });
    const { model } = await loadModel(files, { families, storage });
    const [before, ofMade] = [await logits(model), await logits(made)];
    await loseDevice();
    await expect(logits(model)).rejects.toMatchObject({ code: "invalid-state" });
    await activeBackend()!.recover();
    expect(await logits(model)).toEqual(before);
    expect(await logits(made)).toEqual(ofMade);
    model.dispose();
    made.dispose();
  });

  it("say which weights were trained and are gone, and which caches", async () => {
    const files = new Map<string, Blob>();
    const made = gpt(sizes, createWeights({ seed: 3 }));
    await made.save(files);
    made.dispose();
    const { model } = await loadModel(files, { families });
    const [trained] = model.parameters;
    trained!.assign(new Float32Array(trained!.size));
    const cache = createKeyValueCache({ layers: 1, capacity: 8 });
    const step = (): void => model.forward(inputs, { cache }).dispose();
    step();
    await loseDevice();
    await activeBackend()!.recover();
    await expect(logits(model)).rejects.toMatchObject({
      code: "invalid-state",
      message: `${trained!.name}: values must be loaded or assigned again, since the device that held them was lost`,
    });
    trained!.assign(new Float32Array(trained!.size));
    await logits(model);
    expect(step).toThrow("tensor: must be made again, since the device that held it was lost");
    cache.dispose();
    model.dispose();
  });

  it("stay lost while their files are gone", async () => {
    const files = new Map<string, Blob>();
    const made = gpt(sizes, createWeights({ seed: 3 }));
    await made.save(files);
    made.dispose();
    const { model } = await loadModel(files, { families });
    const before = await logits(model);
    const weights = files.get("model.safetensors")!;
    files.delete("model.safetensors");
    await loseDevice();
    await expect(activeBackend()!.recover()).rejects.toThrow("model.safetensors must be there");
    await expect(logits(model)).rejects.toThrow("must be loaded or assigned again");
    files.set("model.safetensors", weights);
    await activeBackend()!.recover();
    expect(await logits(model)).toEqual(before);
    model.dispose();
  });
});
