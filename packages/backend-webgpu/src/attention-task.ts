/** What all programs of attention are given of a call. */
import { maskShapeOf } from "@heddle/attention";
import type { AttentionCall, MaskShape } from "@heddle/attention";
import { modifierCode, modifierValues } from "./attention-modifiers.ts";
import type { ModifierCode } from "./attention-modifiers.ts";
import { planOf } from "./attention-plan.ts";
import type { AttentionPlan } from "./attention-plan.ts";
import type { CallUniform } from "./attention-wgsl.ts";
import { boundPlaceOf } from "./attention-shares.ts";
import { areVectors, placeUniforms } from "./heads-in-place.ts";
import type { Place } from "./heads-in-place.ts";
import type { Values } from "./run.ts";

/** The widest head: a lane keeps an eighth of 4 of its rows, and a query is held in a group's memory. */
const GREATEST_WIDTH = 256;

/** Why no kernel of attention can run a call. */
export function whyNoTask({ q, v }: AttentionCall): string[] {
  const widest = Math.max(q.shape[3]!, v.shape[3]!);
  return widest > GREATEST_WIDTH ? [`heads of ${widest} are wider than ${GREATEST_WIDTH}`] : [];
}

/** A call with its tiles. */
export interface Task {
  readonly call: AttentionCall;
  readonly shape: MaskShape;
  readonly plan: AttentionPlan;
}

export function taskOf(call: AttentionCall): Task {
  const shape = maskShapeOf(call);
  return { call, shape, plan: planOf(call.pattern, shape) };
}

/** What a call's programs read. */
interface TaskValues {
  readonly modifiers: ModifierCode;
  /** Whether rows of q, k and v can be read four columns at a time. */
  readonly vectors: boolean;
  readonly places: Readonly<Record<"q" | "k" | "v", Place>>;
  /** Where heads look up what modifiers read, if all of it is one table. */
  readonly lookedUp: Place | undefined;
  readonly buffers: Readonly<Record<"q" | "k" | "v" | "plan" | "values", Values | undefined>>;
  readonly uniforms: Readonly<Record<CallUniform, number>>;
}

/** The values of a call's programs; the caller's tidy frees what modifiers read. */
export function valuesOf({ call, shape, plan }: Task): TaskValues {
  const { q, k, v, modifiers = [], scale = 1 / Math.sqrt(q.shape[3]!) } = call;
  const [, heads, queries, width] = q.shape as [number, number, number, number];
  const [, keyHeads, capacity, valueWidth] = v.shape as [number, number, number, number];
  const places = { q: boundPlaceOf(q), k: boundPlaceOf(k), v: boundPlaceOf(v) };
  const { values, uniforms, table } = modifierValues(modifiers, shape);
  return {
    modifiers: modifierCode(modifiers),
    vectors: areVectors(width, places.q) && areVectors(width, places.k) && areVectors(valueWidth, places.v),
    places,
    lookedUp: table,
    buffers: { q: places.q.values, k: places.k.values, v: places.v.values, plan: plan.words, values },
    uniforms: {
      width,
      valueWidth,
      queries,
      keys: shape.keyLength,
      capacity,
      heads,
      keyHeads,
      groupSize: heads / keyHeads,
      planBatch: plan.strides[0],
      planHead: plan.strides[1],
      masks: plan.masks,
      parts: plan.parts,
      scale,
      ...placeUniforms("q", places.q),
      ...placeUniforms("k", places.k),
      ...placeUniforms("v", places.v),
      ...uniforms,
    },
  };
}
