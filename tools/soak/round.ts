import { slidingWindow } from "@heddle/attention";
import { wasm } from "@heddle/backend-wasm";
import type { WasmOptions } from "@heddle/backend-wasm";
import { createWeights, linear, startBackend } from "@heddle/core";
import type { Backend } from "@heddle/core";
import { generateTokens } from "@heddle/generation";
import { gpt } from "@heddle/models";
import { adamw, tokenWindows, train } from "@heddle/training";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { drawFrom } from "./draw.ts";
import type { Draw } from "./draw.ts";
import { runRandomCall } from "./random-calls.ts";

const size = { vocabularySize: 60, width: 32, layers: 2, heads: 4, maxLength: 64, dropout: 0.1 } as const;
const text = Int32Array.from({ length: 2000 }, (_, i) => (i * i + 3 * i) % 60);

const tinyModel = (draw: Draw): ReturnType<typeof gpt> =>
  gpt(
    { ...size, ...(draw.chance(0.5) && { attention: slidingWindow({ before: 7 }) }) },
    createWeights({ seed: draw.integer(0, 9) }),
  );

/** Whether an error is the one that was to come. */
function expectError(error: unknown, rule: RegExp): void {
  if (!rule.test(String(error))) throw error;
}

/** A training run, to its end or stopped in the middle. */
async function trainSome(draw: Draw): Promise<void> {
  const model = tinyModel(draw);
  const stop = new AbortController();
  const last = draw.integer(1, 4);
  try {
    const batches = tokenWindows(text, { length: draw.integer(2, 48), batch: draw.integer(1, 6), seed: 1 });
    const run = train(model, {
      batches,
      optimizer: adamw({ learningRate: 1e-3 }),
      steps: 3,
      signal: stop.signal,
    });
    for await (const { step, loss } of run) {
      if (!Number.isFinite(loss)) throw new Error(`loss must be finite, got ${loss}`);
      if (step === last) stop.abort(new Error("stopped by hand"));
    }
  } catch (error) {
    expectError(error, /stopped by hand/);
  } finally {
    model.dispose();
  }
}

/** Tokens with a cache, to the end or stopped in the middle. */
async function generateSome(draw: Draw): Promise<void> {
  const model = gpt({ ...size, dropout: 0 }, createWeights({ seed: 1 }));
  const stop = new AbortController();
  const last = draw.integer(1, 20);
  try {
    let count = 0;
    const ids = [...text.subarray(0, draw.integer(1, 30))];
    for await (const _ of generateTokens(model, { ids, maxNewTokens: 12, seed: 1, signal: stop.signal }))
      if (++count === last) stop.abort(new Error("stopped by hand"));
  } catch (error) {
    expectError(error, /stopped by hand/);
  } finally {
    model.dispose();
  }
}

/** Calls that are refused, at different depths. */
async function refuseSome(): Promise<void> {
  const x = tf.ones([3, 4]);
  const model = gpt(size, createWeights({ seed: 1 }));
  const refused: readonly [() => unknown, RegExp][] = [
    [() => linear({ x, weight: tf.ones([4, 5]) }), /linear: weight/],
    [() => model.forward({ ids: [[1, 60]] }), /ids/],
    [() => model.forward({ ids: [Array.from({ length: 65 }, () => 1)] }), /65|64/],
  ];
  for (const [call, rule] of refused)
    tf.tidy(() => {
      try {
        call();
      } catch (error) {
        expectError(error, rule);
        return;
      }
      throw new Error(`a call must be refused with ${rule}, and was not`);
    });
  x.dispose();
  model.dispose();
}

/** Tensors that make the heap grow, held while other things run. */
async function growHeap(draw: Draw): Promise<void> {
  const held: Tensor[] = [];
  for (let i = draw.integer(1, 4); i > 0; i--)
    held.push(tf.tidy(() => tf.mul(tf.ones([draw.integer(1, 64), 2 ** 20]), i)));
  for (let i = 0; i < 3; i++) await runRandomCall(draw);
  for (const tensor of held) {
    const last = tf.tidy(() => tf.slice(tf.reshape(tensor, [-1]), [tensor.size - 1], [1]).dataSync()[0]);
    const first = tf.tidy(() => tf.slice(tf.reshape(tensor, [-1]), [0], [1]).dataSync()[0]);
    if (first !== last || !(first! > 0))
      throw new Error(`a held tensor must keep its values, got ${first}, ${last}`);
  }
  tf.dispose(held);
}

/** A heap filled to its end: what runs then says so, and goes on afterwards. */
async function fillHeap(draw: Draw): Promise<void> {
  const held: Tensor[] = [];
  const full = /heap must have room/;
  for (let bytes = 2 ** 29; bytes >= 2 ** 16;)
    try {
      held.push(tf.zeros([bytes / 4]));
    } catch (error) {
      expectError(error, full);
      bytes /= 2;
    }
  for (let i = 0; i < 5; i++)
    try {
      await runRandomCall(draw);
    } catch (error) {
      expectError(error, full);
    }
  tf.dispose(held);
}

/** Workers fall asleep, and read their messages. */
const pause = (draw: Draw): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, draw.integer(0, 20)));

/** What a round is made of, with shares. */
const actions: readonly (readonly [share: number, (draw: Draw) => Promise<void>])[] = [
  [60, runRandomCall],
  [10, pause],
  [8, trainSome],
  [8, generateSome],
  [6, refuseSome],
  [7, growHeap],
  [1, fillHeap],
];
const shares = actions.reduce((sum, [share]) => sum + share, 0);

function drawAction(draw: Draw): (draw: Draw) => Promise<void> {
  let left = draw.integer(1, shares);
  return actions.find(([share]) => (left -= share) <= 0)![1];
}

/** What a round was. */
export interface RoundReport {
  readonly description: string;
  readonly actions: number;
  readonly heap: number;
}

/**
 * One life of a backend: started by random options, used in random ways, disposed.
 * @throws Error For a wrong value, an unexpected error, or a tensor that is left.
 */
export async function soakRound(seed: number): Promise<RoundReport> {
  const draw = drawFrom(seed);
  const options: WasmOptions = {
    threads: draw.integer(1, 4),
    simd: draw.one(["auto", "plain", "relaxed"]),
    wide: draw.one(["auto", false]),
  };
  const backend: Backend = await startBackend(wasm(options));
  try {
    const count = draw.integer(10, 40);
    for (let i = 0; i < count; i++) {
      const before = backend.memory().tensors;
      const action = drawAction(draw);
      try {
        await action(draw);
      } catch (error) {
        const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
        throw new Error(`action ${i}, ${action.name}, on ${backend.description}: ${what}`, { cause: error });
      }
      const left = backend.memory().tensors - before;
      if (left !== 0)
        throw new Error(`action ${i}, ${action.name}, on ${backend.description}: ${left} tensors left`);
    }
    return { description: backend.description, actions: count, heap: backend.memory().heap! };
  } finally {
    await backend.dispose();
  }
}
