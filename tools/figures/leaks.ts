// Tensors that training leaves behind: after each step, and however a run ends.
import { slidingWindow } from "@heddle/attention";
import { wasm } from "@heddle/backend-wasm";
import { activation, createWeights, crossEntropy, startBackend } from "@heddle/core";
import { bert, gpt, longformer } from "@heddle/models";
import type { Model } from "@heddle/models";
import * as tf from "@tensorflow/tfjs-core";
import { adamw, mlmBatches, tokenWindows, train } from "@heddle/training";
import type { Batch, BatchSource, TokenRows, TrainOptions } from "@heddle/training";
import type { Figure, FigureContext } from "./figure.ts";

type RowBatch = Batch<TokenRows>;
type Options = TrainOptions<Model, RowBatch>;

const steps = 6;
const size = { vocabularySize: 40, width: 16, layers: 2, heads: 2, dropout: 0.1 } as const;
const text = Int32Array.from({ length: 500 }, (_, i) => (i * i + 3 * i) % 40);
const rows = Array.from({ length: 20 }, (_, i) => [1, ...text.subarray(i * 9, i * 9 + 5 + (i % 4)), 2]);
const windows: BatchSource<RowBatch> = tokenWindows(text, { length: 12, batch: 2, seed: 1 });
const masked: BatchSource<RowBatch> = mlmBatches(rows, {
  batch: 4,
  vocabularySize: 40,
  maskId: 3,
  specialIds: [1, 2],
  seed: 1,
});

interface Case {
  readonly model: () => Model;
  readonly batches: BatchSource<RowBatch>;
}

const cases: Readonly<Record<string, Case>> = {
  gpt: { model: () => gpt({ ...size, maxLength: 16 }, createWeights({ seed: 1 })), batches: windows },
  "gpt, window": {
    model: () =>
      gpt({ ...size, maxLength: 16, attention: slidingWindow({ before: 3 }) }, createWeights({ seed: 1 })),
    batches: windows,
  },
  bert: { model: () => bert({ ...size, maxLength: 16 }, createWeights({ seed: 1 })), batches: masked },
  longformer: {
    model: () => longformer({ ...size, maxLength: 32, window: 4 }, createWeights({ seed: 1 })),
    batches: masked,
  },
};

/** The ways a run ends; each says with what error, if any. */
const endings: Readonly<
  Record<string, { options?: (stop: AbortController) => Partial<Options>; error?: RegExp }>
> = {
  "to its end": {},
  "after abort": {
    options: (stop) => ({ signal: stop.signal }),
    error: /stopped by hand/,
  },
  "after a throw in forward": {
    options: () => {
      let calls = 0;
      return {
        loss: (model, { inputs, labels }, context) => {
          const { logits } = model.forward(inputs, context);
          if (++calls === 3) throw new Error("broken forward");
          return crossEntropy({ logits: logits!, labels });
        },
      };
    },
    error: /broken forward/,
  },
  "after a throw in backward": {
    options: () => {
      let calls = 0;
      return {
        loss: (model, { inputs, labels }, context) => {
          const { logits } = model.forward(inputs, context);
          const last = activation({ x: logits!, kind: "tanh" });
          // A plain operation of tfjs has no gradient, which shows in the backward pass.
          return crossEntropy({ logits: ++calls === 3 ? tf.neg(last) : last, labels });
        },
      };
    },
    error: /has no gradient here/,
  },
};

/** Tensors and bytes that stay after one run; the greatest number that a step added counts as well. */
async function leftBy(
  model: Model,
  batches: Case["batches"],
  ending: string,
): Promise<{ step: number; run: number }> {
  const { options = () => ({}), error } = endings[ending]!;
  const stop = new AbortController();
  const before = tf.memory().numTensors;
  const counts: number[] = [];
  const optimizer = adamw({ learningRate: 1e-3 });
  let failure: unknown;
  try {
    for await (const { step } of train(model, {
      batches,
      optimizer,
      steps,
      accumulate: 2,
      ...options(stop),
    })) {
      counts.push(tf.memory().numTensors);
      if (step === 3) stop.abort(new Error("stopped by hand"));
    }
  } catch (caught) {
    failure = caught;
  }
  if (error ? !error.test(String(failure)) : failure !== undefined)
    throw new Error(`${ending}: the run must end with ${error ?? "no error"}, got ${String(failure)}`);
  // The moments come in the first step.
  const step = Math.max(0, ...counts.slice(1).map((count, i) => count - counts[i]!));
  return { step, run: tf.memory().numTensors - before };
}

/** 0 tensors a step and after each ending, for every family. Takes a few seconds. */
export default async function leaksFigure({ progress }: FigureContext): Promise<Figure[]> {
  const backend = await startBackend(wasm());
  const figures: Figure[] = [];
  try {
    const perStep: Record<string, number> = {};
    for (const ending of Object.keys(endings)) {
      const left: Record<string, number> = {};
      for (const [name, { model: make, batches }] of Object.entries(cases)) {
        const model = make();
        for (const parameter of model.parameters) parameter.tensor();
        const { step, run } = await leftBy(model, batches, ending);
        left[name] = run;
        perStep[name] = Math.max(perStep[name] ?? 0, step);
        model.dispose();
      }
      figures.push(rowOf(`tensors left by a run ${ending}`, left));
      progress(`a run ${ending}: ${JSON.stringify(left)}`);
    }
    return [rowOf("tensors leaked a step", perStep), ...figures];
  } finally {
    await backend.dispose();
  }
}

function rowOf(figure: string, left: Readonly<Record<string, number>>): Figure {
  return {
    figure,
    target: "0",
    measured: Object.entries(left)
      .map(([name, count]) => `${name} ${count}`)
      .join("; "),
    held: Object.values(left).length > 0 && Object.values(left).every((count) => count === 0),
  };
}
