import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  largestDifference,
  operationGoldens,
  readGolden,
  testGoldens,
  useBackend,
} from "@heddle/conformance";
import type { BackendName } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { adamwStep } from "./adamw.ts";

const url = new URL("./goldens/operations.safetensors", import.meta.url);
const backends: readonly BackendName[] = ["cpu", "wasm"];

for (const backend of backends)
  testGoldens(url, operationGoldens, { backend, forward: 1e-5, gradient: 1e-4 });

describe.each(backends)("adamwStep on %s", (backend) => {
  useBackend(backend);

  it.each(["adamw", "adamw-plain"])("%s: five steps as torch.optim.AdamW", async (name) => {
    const golden = await readGolden(url);
    const options = (golden.info["options"] as Record<string, Record<string, number>>)[name]!;
    const make = (path: string): Tensor =>
      tf.tensor(golden.floats(`${name}/${path}`), [...golden.tensor(`${name}/${path}`).shape]);
    let state: [Tensor, Tensor, Tensor] = [make("input/parameter"), tf.zeros([3, 5]), tf.zeros([3, 5])];
    const differ = async (tensor: Tensor, path: string): Promise<number> =>
      largestDifference(await tensor.data(), golden.floats(`${name}/output/${path}`));
    for (let step = 1; step <= 5; step++) {
      const gradient = make(`input/gradient.${step}`);
      const [value, mean, square] = state;
      const next = adamwStep({
        value,
        gradient,
        mean,
        square,
        step,
        learningRate: options["learningRate"]!,
        beta1: options["beta1"]!,
        beta2: options["beta2"]!,
        epsilon: options["epsilon"]!,
        weightDecay: options["weightDecay"]!,
      });
      tf.dispose([...state, gradient]);
      state = next;
      expect(await differ(state[0], `parameter.${step}`)).toBeLessThan(1e-6);
    }
    expect(await differ(state[1], "firstMoment.5")).toBeLessThan(1e-6);
    expect(await differ(state[2], "secondMoment.5")).toBeLessThan(1e-6);
    tf.dispose(state);
  });
});
