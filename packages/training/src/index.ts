export { evaluate, type EvaluateOptions, type Evaluation } from "./evaluate.ts";
export { labelLoss, type Loss, type LossContext } from "./loss.ts";
export { mlmBatches, type MaskedRows, type MlmBatchesOptions } from "./mlm-batches.ts";
export { adamw, type AdamWOptions, type Optimizer, type UpdateCall } from "./optimizer.ts";
export { type Progress } from "./progress.ts";
export { type SavableTokenizer } from "./run-checkpoint.ts";
export { constant, warmupCosine, type Schedule, type WarmupCosineOptions } from "./schedule.ts";
export {
  sequentialWindows,
  tokenWindows,
  type TokenBatch,
  type TokenRows,
  type TokenWindowsOptions,
} from "./token-windows.ts";
export { train, type TrainOptions, type TrainStep } from "./train.ts";
export { type Batch, type BatchList, type BatchSource, type Trainable } from "./trainable.ts";
