import * as tf from "@tensorflow/tfjs-core";
import { crossEntropy, differentiate, reshape } from "@heddle/core";
import { useBackend } from "@heddle/conformance";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TEXT, VOCABULARY, bigram } from "./bigram.fixture.ts";
import type { Bigram } from "./bigram.fixture.ts";
import { adamw, sequentialWindows, tokenWindows, train } from "./index.ts";
import type { BatchSource, TokenBatch, TrainOptions, TrainStep } from "./index.ts";

const batches = tokenWindows(TEXT, { length: 8, batch: 4, seed: 3 });
const optimizer = adamw({ learningRate: 0.05 });
type Options = TrainOptions<Bigram, TokenBatch>;

async function run(model: Bigram, options: Partial<Options>): Promise<TrainStep[]> {
  const steps: TrainStep[] = [];
  for await (const step of train(model, { batches, optimizer, steps: 5, ...options })) steps.push(step);
  return steps;
}

/** Batches of which the labels of every other row do not count, as one batch or dealt out in parts. */
function dealt(parts: number): BatchSource<TokenBatch> {
  return {
    async at(step, micro) {
      const { inputs, labels } = await batches.at(step, 0);
      const rows = inputs.ids.length / parts;
      const counted = labels.map((label, i) => (Math.floor(i / 8) % 2 === 1 && i % 8 > 2 ? -100 : label));
      return {
        inputs: { ids: inputs.ids.slice(micro * rows, (micro + 1) * rows) },
        labels: counted.slice(micro * rows * 8, (micro + 1) * rows * 8),
      };
    },
  };
}

describe.each(["cpu", "wasm"] as const)("train on %s", (backend) => {
  useBackend(backend);
  let model: Bigram;
  let before = 0;
  beforeEach(() => {
    model = bigram();
    before = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors - before, "tensors leaked by the run").toBe(0);
    model.dispose();
  });

  it("learns a small text and reports each step", async () => {
    let time = 0;
    const steps = await run(model, {
      steps: 40,
      now: () => (time += 100),
      evaluate: { every: 15, batches: sequentialWindows(TEXT, { length: 16, batch: 8 }) },
    });
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(steps[0]!.loss).toBeGreaterThan(1.8);
    // The entropy of a token of this text given the one before is 0.626.
    expect(steps[39]!.loss).toBeLessThan(0.8);
    expect(
      steps.filter(({ validationLoss }) => validationLoss !== undefined).map(({ step }) => step),
    ).toEqual([15, 30, 40]);
    expect(steps[39]!.validationLoss).toBeLessThan(steps[0]!.loss - 1);
    // The clock moves 100 ms a reading, two of them a step: 32 tokens in each 100 ms between a begin and its end.
    expect(steps[0]).toMatchObject({
      steps: 40,
      tokens: 32,
      tokensPerSecond: 320,
      learningRate: 0.05,
      secondsLeft: 7.8,
    });
    expect(steps[9]).toMatchObject({ tokensPerSecond: 320, secondsLeft: 6 });
  });

  it("gives the same losses again", async () => {
    const first = await run(model, { seed: 4 });
    const again = bigram();
    const second = await run(again, { seed: 4 });
    again.dispose();
    expect(second.map(({ loss }) => loss)).toEqual(first.map(({ loss }) => loss));
  });

  it("gives accumulated batches of unequal counts the result of the whole batch", async () => {
    const whole = await run(model, { batches: dealt(1), steps: 3 });
    for (const parts of [2, 4]) {
      const other = bigram();
      const steps = await run(other, { batches: dealt(parts), accumulate: parts, steps: 3 });
      steps.forEach(({ loss, gradientNorm, tokens }, i) => {
        expect(loss).toBeCloseTo(whole[i]!.loss, 5);
        expect(gradientNorm).toBeCloseTo(whole[i]!.gradientNorm, 5);
        expect(tokens).toBe(32);
      });
      other.dispose();
    }
  });

  it("clips by the norm of all gradients, which it reports as it was", async () => {
    const { inputs, labels } = await batches.at(1, 0);
    const { value, gradients } = differentiate(
      () => crossEntropy({ logits: reshape(model.forward(inputs).logits!, [32, VOCABULARY]), labels }),
      model.parameters,
    );
    let squares = 0;
    for (const gradient of gradients) for (const x of (await gradient?.data()) ?? []) squares += x * x;
    tf.dispose([value, ...gradients.flatMap((gradient) => gradient ?? [])]);
    const seen: number[] = [];
    const spy = {
      ...optimizer,
      update: (call: Parameters<typeof optimizer.update>[0]) => {
        seen.push(...call.gradient.dataSync());
        return optimizer.update(call);
      },
    };
    const [step] = await run(model, { steps: 1, clip: 0.1, optimizer: spy });
    expect(step!.gradientNorm).toBeCloseTo(Math.sqrt(squares), 5);
    expect(Math.hypot(...seen)).toBeCloseTo(0.1, 5);
  });

  it("leaves alone what is frozen and what the loss does not depend on", async () => {
    model.parameter("wte.weight").trainable = false;
    const [frozen, unused] = ["wte.weight", "unused.weight"].map((name) => model.parameter(name).tensor());
    await run(model, {});
    expect(model.parameter("wte.weight").tensor()).toBe(frozen);
    expect(model.parameter("unused.weight").tensor()).toBe(unused);
    expect(model.parameter("head.weight").version).toBe(5);
  });

  it("does not decay norms and biases", async () => {
    const still: BatchSource<TokenBatch> = {
      at: () => ({ inputs: { ids: [[0]] }, labels: Int32Array.of(0) }),
    };
    const decayOnly = {
      ...optimizer,
      update: (call: Parameters<typeof optimizer.update>[0]) =>
        adamw({ learningRate: 0.5, weightDecay: 0.5 }).update({
          ...call,
          learningRate: 0.5,
          gradient: tf.zerosLike(call.gradient),
        }),
    };
    const [shape, table] = [
      await model.parameter("ln.weight").tensor().data(),
      await model.parameter("wte.weight").tensor().data(),
    ];
    await run(model, { steps: 1, batches: still, optimizer: decayOnly });
    expect([...(await model.parameter("ln.weight").tensor().data())]).toEqual([...shape]);
    (await model.parameter("wte.weight").tensor().data()).forEach((x, i) =>
      expect(x).toBeCloseTo(0.75 * table[i]!, 6),
    );
  });

  it("drops anew in each step and each batch of a step", async () => {
    const dropping = bigram({ rate: 0.5 });
    const same = (await batches.at(1, 0)) as TokenBatch;
    const frozen = { ...optimizer, learningRate: adamw({ learningRate: 0 }).learningRate };
    const losses = (steps: TrainStep[]): number[] => steps.map(({ loss }) => loss);
    const first = losses(await run(dropping, { batches: { at: () => same }, optimizer: frozen, steps: 4 }));
    expect(new Set(first).size).toBe(4);
    expect(losses(await run(dropping, { batches: { at: () => same }, optimizer: frozen, steps: 4 }))).toEqual(
      first,
    );
    const doubled = losses(
      await run(dropping, { batches: { at: () => same }, optimizer: frozen, steps: 2, accumulate: 2 }),
    );
    // No batch of a step has the dropout of a batch of another step.
    expect(doubled[0]).toBeCloseTo((first[0]! + first[1]!) / 2, 5);
    expect(doubled[1]).toBeCloseTo((first[2]! + first[3]!) / 2, 5);
    dropping.dispose();
  });

  it("frees everything on break, abort, and a throw in forward or backward", async () => {
    for await (const { step } of train(model, { batches, optimizer, steps: 9 })) if (step === 2) break;
    expect(tf.memory().numTensors - before).toBe(0);

    const controller = new AbortController();
    const seen: number[] = [];
    await expect(async () => {
      for await (const { step } of train(model, {
        batches,
        optimizer,
        steps: 9,
        signal: controller.signal,
      })) {
        seen.push(step);
        if (step === 2) controller.abort(new Error("enough"));
      }
    }).rejects.toThrow("enough");
    expect(seen).toEqual([1, 2]);
    expect(tf.memory().numTensors - before).toBe(0);

    let calls = 0;
    const forward: Options["loss"] = (each, batch) => {
      const { logits } = each.forward(batch.inputs);
      if (++calls === 3) throw new Error("broken forward");
      return crossEntropy({ logits: logits!, labels: batch.labels });
    };
    await expect(run(model, { loss: forward, accumulate: 2 })).rejects.toThrow("broken forward");
    expect(tf.memory().numTensors - before).toBe(0);

    const backward: Options["loss"] = (each, batch) =>
      crossEntropy({ logits: tf.relu(each.forward(batch.inputs).logits!), labels: batch.labels });
    await expect(run(model, { loss: backward })).rejects.toThrow("which has no gradient here");
  });

  it("lets a timer's abort in while it runs", async () => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), 5);
    await expect(run(model, { steps: 1e6, signal: controller.signal })).rejects.toThrow("abort");
    clearTimeout(timer);
  });

  it("stops before a loss that is not finite changes anything, and names step and parameter", async () => {
    await run(model, { steps: 2 });
    const values = (await model.parameter("head.weight").tensor().data()).slice() as Float32Array;
    model.parameter("head.weight").assign(values.fill(Number.NaN, 3, 4));
    const kept = await model.values();
    await expect(run(model, {})).rejects.toThrow(
      "train: loss and gradients of step 1 must be finite, got loss NaN and gradient norm NaN; the first gradient that is not finite is that of wte.weight",
    );
    expect(await model.values()).toEqual(kept);
  });
});

describe("train: what it refuses", () => {
  useBackend("cpu");
  const refuse = async (options: Partial<Options>, message: string): Promise<void> => {
    const model = bigram();
    await expect(async () => run(model, options)).rejects.toThrow(message);
    model.dispose();
  };

  it.each<[Partial<Options>, string]>([
    [{ steps: 0 }, "train: steps must be an integer >= 1, got 0"],
    [{ accumlate: 4 } as object, "train: options must have only the fields batches, optimizer, "],
    [
      { batches: [] } as object,
      "train: batches must be a source, tokenWindows(ids, { length, batch }) for example, got []",
    ],
    [
      { optimizer: undefined } as object,
      "train: optimizer must be an optimizer, adamw({ learningRate }) for example, got undefined",
    ],
    [{ accumulate: 0 }, "train: accumulate must be an integer >= 1, got 0"],
    [{ clip: 0 }, "train: clip must be a number >= 5e-324, got 0"],
    [{ seed: -1 }, "train: seed must be an integer >= 0, got -1"],
    [{ resume: true }, "train: resume must be a directory where no checkpoint is given, got true"],
    [{ evaluate: { every: 0, batches: [] } }, "train: evaluate.every must be an integer >= 1, got 0"],
    [
      { evaluate: { every: 1, batches: [] } },
      "train: evaluate.batches: number of batches must be an integer >= 1, got 0",
    ],
    [
      { evaluate: { every: 1, batches: null } as object },
      "train: evaluate.batches must be a list of batches, sequentialWindows(ids, { length, batch }) for example, got null",
    ],
    [{ evaluate: { evry: 1 } } as object, "train: evaluate must have only the fields every, batches, got"],
    [{ loss: "mean" } as object, 'train: loss must be a function, got "mean"'],
    // At once, not when the first checkpoint is due.
    [
      { checkpoint: { every: 9 } } as object,
      "train: checkpoint.directory must be a path or a file: URL, got undefined",
    ],
    [
      { checkpoint: { directory: new URL("https://example.org/a"), every: 9 } },
      "train: checkpoint.directory must be a path or a file: URL, got",
    ],
    [
      { checkpoint: { directory: new Map(), every: 9, tokeniser: {} } as object },
      'train: checkpoint must have only the fields directory, every, tokenizer, got "tokeniser"',
    ],
    [
      { checkpoint: { directory: new Map(), every: 9, tokenizer: {} } as object },
      "train: checkpoint.tokenizer must be a tokenizer, got {}",
    ],
    [
      { batches: { at: () => ({ inputs: { ids: [[1, 2]] }, labels: [1, 2] as never }) } },
      "train: labels of step 1 must be an Int32Array, got [1,2]",
    ],
    [
      { checkpoint: { directory: new Map(), every: 0.5 } },
      "train: checkpoint.every must be an integer >= 1, got 0.5",
    ],
    [
      { batches: { at: () => ({ inputs: { ids: [[1, 2]] }, labels: Int32Array.of(1) }) } },
      "crossEntropy: labels must hold one label for each of 2 rows, got 1",
    ],
    [
      { batches: { at: () => ({ inputs: { ids: [[1, 2]] }, labels: Int32Array.of(1, 9) }) } },
      "crossEntropy: labels[1] must be from 0 to 6, or -100 to be ignored, got 9",
    ],
    [
      { batches: { at: () => ({ inputs: { ids: [[1]] }, labels: Int32Array.of(-100) }) } },
      "train: labels of step 1 must count at least once, got 0",
    ],
    [
      { loss: (model, { inputs }) => model.forward(inputs).logits! },
      "train: loss must have shape [], got [4,8,7]",
    ],
  ])("%o", refuse);

  it("a learning rate that is negative, at once or in some step", async () => {
    expect(() => adamw({ learningRate: -1 })).toThrow("learningRate must be a number >= 0, got -1");
    const schedule = { name: "falling", options: {}, at: (step: number) => 2 - step };
    await refuse(
      { optimizer: adamw({ learningRate: schedule }) },
      "train: learningRate of step 3 must be a number >= 0, got -1",
    );
  });

  describe("in the middle", () => {
    useBackend("wasm");

    it("another backend", async () => {
      const model = bigram();
      await expect(async () => {
        for await (const _ of train(model, { batches, optimizer, steps: 3 })) await tf.setBackend("cpu");
      }).rejects.toThrow('train: backend must stay wasm for the whole run, got "cpu"');
      model.dispose();
      await tf.setBackend("wasm");
    });
  });

  it("a model without logits or without anything to train", async () => {
    const model = bigram();
    const { parameters, save } = model;
    const silent: Bigram = { ...model, parameters, save, forward: () => ({ dispose: () => undefined }) };
    await expect(run(silent, {})).rejects.toThrow(
      "train: model must give logits, got none; give a loss of your own",
    );
    for (const parameter of parameters) parameter.trainable = false;
    expect(() => train(model, { batches, optimizer, steps: 1 })).toThrow(
      "train: model must have a trainable parameter, got []",
    );
    model.dispose();
  });
});
