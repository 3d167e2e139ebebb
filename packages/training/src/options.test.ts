import { describe, expect, it } from "vitest";
import { evaluate } from "./evaluate.ts";
import { mlmBatches } from "./mlm-batches.ts";
import { adamw } from "./optimizer.ts";
import { warmupCosine } from "./schedule.ts";
import { sequentialWindows, tokenWindows } from "./token-windows.ts";
import { train } from "./train.ts";

const ids = [1, 2, 3, 4, 5];
const masking = { batch: 1, vocabularySize: 9, maskId: 8, specialIds: [] };
const settings = {
  batches: tokenWindows(ids, { length: 2, batch: 1 }),
  optimizer: adamw({ learningRate: 0.1 }),
  steps: 1,
};
const trained = (options: object): unknown => train({} as never, { ...settings, ...options } as never);

it.each<[string, string, () => unknown]>([
  ["adamw: options", "weightdecay", () => adamw({ learningRate: 1, weightdecay: 0.1 } as never)],
  ["warmupCosine: options", "warmUp", () => warmupCosine({ peak: 1, steps: 9, warmUp: 3 } as never)],
  ["mlmBatches: options", "chance", () => mlmBatches([[1]], { ...masking, chance: 0.2 } as never)],
  ["tokenWindows: options", "sed", () => tokenWindows(ids, { length: 2, batch: 1, sed: 4 } as never)],
  [
    "sequentialWindows: options",
    "seed",
    () => sequentialWindows(ids, { length: 2, batch: 1, seed: 4 } as never),
  ],
  ["train: evaluate", "evry", () => trained({ evaluate: { evry: 1, batches: [] } })],
  ["train: checkpoint", "dir", () => trained({ checkpoint: { dir: "out", every: 1 } })],
])("%s refuses %s and names the options there are", (where, field, call) => {
  expect(call).toThrow(new RegExp(`^${where} must have only the fields .+, got "${field}"$`));
});

describe("options of another type", () => {
  it.each<[string, () => unknown]>([
    ["adamw: options must be an object of learningRate, ", () => adamw(undefined as never)],
    [
      "tokenWindows: options must be an object of length, batch, seed, got null",
      () => tokenWindows(ids, null as never),
    ],
    [
      "mlmBatches: specialIds must be a list of ids, got null",
      () => mlmBatches([[1]], { ...masking, specialIds: null } as never),
    ],
    [
      "train: checkpoint must be an object of directory, every, tokenizer, got null",
      () => trained({ checkpoint: null }),
    ],
    ["train: evaluate must be an object of every, batches, got true", () => trained({ evaluate: true })],
    [
      "mlmBatches: rows must hold at least one row, got undefined",
      () => mlmBatches(undefined as never, masking),
    ],
    ["mlmBatches: rows[0] must hold at least one token, got 3", () => mlmBatches([3] as never, masking)],
    [
      "tokenWindows: ids must be an Int32Array or a list of token ids, got null",
      () => tokenWindows(null as never, { length: 2, batch: 1 }),
    ],
    ["adamw: learningRate must be a number or a schedule, ", () => adamw({ learningRate: null as never })],
    ["train: signal must be an AbortSignal, got null", () => trained({ signal: null })],
  ])("are refused: %s", (message, call) => expect(call).toThrow(message));

  it("are refused by evaluate", async () => {
    await expect(evaluate({} as never, [], { sgnal: 1 } as never)).rejects.toThrow(
      'evaluate: options must have only the fields loss, signal, got "sgnal"',
    );
  });
});
