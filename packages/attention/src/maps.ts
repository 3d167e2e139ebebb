import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields, checkInteger, defineOperation, reject, run, withoutTape } from "@heddle/core";
import type { KernelResult, Operation } from "@heddle/core";
import type { AttentionCall } from "./call.ts";
import { attentionOperation } from "./operation.ts";
import { probabilities } from "./reference.ts";

/** Which part of the attention map is wanted. */
export interface MapSelection {
  /** Head numbers, in the order of the result. @default all */
  readonly heads?: readonly number[];
  /** Row numbers among the queries, in the order of the result. @default all */
  readonly rows?: readonly number[];
}

/** A call of the attentionMaps operation: one of attention, whose v and dropout take no part. */
export interface AttentionMapsCall extends AttentionCall, MapSelection {}

/** Checks a list of numbers from 0 to below `count`, if there is one. */
function checkNumbers(where: string, numbers: readonly number[] | undefined, count: number): void {
  if (numbers === undefined) return;
  if (!Array.isArray(numbers)) reject(where, "be a list of numbers", numbers);
  numbers.forEach((number) => checkInteger(where, number, { min: 0, max: count - 1 }));
}

function validate({ heads, rows, ...call }: AttentionMapsCall): void {
  attentionOperation.validate(call);
  const [, headCount, rowCount] = call.q.shape as [number, number, number, number];
  checkNumbers("attentionMaps: heads", heads, headCount);
  checkNumbers("attentionMaps: rows", rows, rowCount);
}

/** Everything, and of that the part that is asked for. */
function referenceMaps({ heads, rows, ...call }: AttentionMapsCall): KernelResult {
  const p = probabilities(call);
  const ofHeads = heads ? tf.gather(p, tf.tensor1d([...heads], "int32"), 1) : p;
  return { output: rows ? tf.gather(ofHeads, tf.tensor1d([...rows], "int32"), 2) : ofHeads };
}

/** The operation behind `attentionMaps`, without a gradient. */
export const attentionMapsOperation: Operation<AttentionMapsCall> = defineOperation<AttentionMapsCall>({
  name: "attentionMaps",
  tensors: [],
  inputs: (call) => attentionOperation.inputs(call),
  withInputs: (call, tensors) => ({ ...call, ...attentionOperation.withInputs(call, tensors) }),
  validate,
  forward: referenceMaps,
});

/**
 * Attention probabilities of a call, before dropout: [B, heads, rows, Lk], as a plain tensor without gradient. A row
 * that sees no key is all 0.
 * @throws HeddleError for a head or row that the call does not have.
 */
export function attentionMaps(call: AttentionCall, selection: MapSelection = {}): Tensor {
  checkFields("attentionMaps: selection", selection, ["heads", "rows"]);
  return withoutTape(() => run(attentionMapsOperation, { ...call, ...selection }));
}
