import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields, checkInteger, withoutTape } from "@heddle/core";
import { attentionOperation } from "./operation.ts";
import type { AttentionCall } from "./call.ts";
import { probabilities } from "./reference.ts";

/** Which part of the attention map is wanted. */
export interface MapSelection {
  /** Head numbers. @default all */
  readonly heads?: readonly number[];
  /** Row numbers among the queries. @default all */
  readonly rows?: readonly number[];
}

/**
 * Attention probabilities of a call, before dropout: [B, heads, rows, Lk], as a plain tensor without gradient.
 * @throws HeddleError for a head or row that the call does not have.
 */
export function attentionMaps(call: AttentionCall, selection: MapSelection = {}): Tensor {
  checkFields("attentionMaps: selection", selection, ["heads", "rows"]);
  const { heads, rows } = selection;
  attentionOperation.validate(call);
  const [, headCount, rowCount] = call.q.shape as [number, number, number, number];
  heads?.forEach((head) => checkInteger("attentionMaps: heads", head, { min: 0, max: headCount - 1 }));
  rows?.forEach((row) => checkInteger("attentionMaps: rows", row, { min: 0, max: rowCount - 1 }));
  return withoutTape(() =>
    tf.tidy(() => {
      const p = probabilities(call);
      const ofHeads = heads ? tf.gather(p, tf.tensor1d([...heads], "int32"), 1) : p;
      return rows ? tf.gather(ofHeads, tf.tensor1d([...rows], "int32"), 2) : ofHeads;
    }),
  );
}
