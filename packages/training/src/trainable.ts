import type { Tensor } from "@tensorflow/tfjs-core";
import { reject } from "@heddle/core";
import type { Parameter } from "@heddle/core";
import type { SaveCheckpointOptions, SaveLocation } from "@heddle/checkpoints";

/** What training asks of a model; every Heddle model is one. */
export interface Trainable<Inputs> {
  readonly parameters: readonly Parameter[];
  /** Every parameter that `save` writes, where those that the model does not use now are among them. @default parameters */
  readonly weights?: { readonly all: ReadonlyMap<string, Parameter> };
  /** `training` is the address of dropout's random numbers; without it there is no dropout. */
  readonly forward: (
    inputs: Inputs,
    options?: { readonly training?: { readonly seed: number; readonly step: number } },
  ) => ModelResult;
  /**
   * Writes the model with further files beside it, all of it or nothing. `metadata` goes into the header of the weights
   * beside `format`; without it the run cannot be resumed.
   */
  readonly save: (
    location: SaveLocation,
    options: {
      readonly files: NonNullable<SaveCheckpointOptions["files"]>;
      readonly metadata: Readonly<Record<string, string>>;
    },
  ) => Promise<void>;
}

/** What a forward pass gives. */
interface ModelResult {
  /** [..., V] */
  readonly logits?: Tensor;
  dispose(): void;
}

/** What the model reads, and what it should answer. */
export interface Batch<Inputs> {
  readonly inputs: Inputs;
  /** A class for each row of the logits, in their order; -100 does not count. */
  readonly labels: Int32Array;
}

/** Batches without end. The same address gives the same batch, so that a run can go on where another ended. */
export interface BatchSource<B> {
  /** What the batches depend on, as JSON; a resumed run must have the same. @default {} */
  readonly options?: Readonly<Record<string, unknown>>;
  /**
   * @param step From 1.
   * @param micro Place among the batches that are accumulated in this step, from 0.
   */
  at(step: number, micro: number): B | Promise<B>;
}

/** A list of batches, made one at a time. */
export interface BatchList<B> {
  readonly count: number;
  /** @param index From 0 to count - 1. */
  at(index: number): B | Promise<B>;
}

/** The label of a row that does not count. */
export const IGNORED = -100;

/**
 * How many labels count.
 * @throws HeddleError for labels that are no `Int32Array`, named by `where`.
 */
export function countLabels(where: string, batch: { readonly labels: Int32Array }): number {
  const labels = batch?.labels;
  if (!(labels instanceof Int32Array)) reject(where, "be an Int32Array", labels);
  let count = 0;
  for (const label of labels) if (label !== IGNORED) count++;
  return count;
}
