import { useBackend } from "@heddle/conformance";
import { describe, expect, it } from "vitest";
import { TEXT, bigram } from "./bigram.fixture.ts";
import { adamw, evaluate, sequentialWindows, tokenWindows, train } from "./index.ts";

const losses: Record<string, number[]> = {};

describe.each(["cpu", "webgpu"] as const)("train on %s", (backend) => {
  useBackend(backend);

  it("takes the same steps as on the CPU, is resumed and frees everything", async () => {
    const run: number[] = [];
    const directory = new Map<string, Blob>();
    for (const steps of [3, 6]) {
      const model = bigram({ rate: 0.2 });
      for await (const { loss, gradientNorm } of train(model, {
        batches: tokenWindows(TEXT, { length: 8, batch: 4, seed: 3 }),
        optimizer: adamw({ learningRate: 0.02 }),
        steps,
        accumulate: 2,
        clip: 0.5,
        checkpoint: { directory, every: 3 },
        resume: true,
      }))
        run.push(loss, gradientNorm);
      if (steps === 6)
        run.push((await evaluate(model, sequentialWindows(TEXT, { length: 20, batch: 8 }))).loss);
      model.dispose();
    }
    expect(run).toHaveLength(13);
    losses[backend] = run;
    run.forEach((value, i) => expect(value).toBeCloseTo(losses["cpu"]![i]!, 3));
  });
});
