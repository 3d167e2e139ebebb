/** The task that the kernels of attention share, as kernels/attention.h has it. */
import { copyMaskShape, maskShapeOf, sameMaskShape } from "@heddle/attention";
import type { AttentionCall, AttentionPattern, MaskShape } from "@heddle/attention";
import { randomStream, RecentlyUsed } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { GREATEST_MODIFIERS, placeModifiers } from "./attention-modifiers.ts";
import { planAttention } from "./attention-plan.ts";
import type { AttentionPlan } from "./attention-plan.ts";
import { float } from "./machine.ts";
import type { Machine, Word } from "./machine.ts";

/** The widest head: four of its rows and a tile of scores fit the first cache. */
const GREATEST_WIDTH = 256;

/** Plans kept, since the layers of a model and the steps of a run ask for the same few. */
const PLANS_KEPT = 16;

interface KeptPlan {
  readonly pattern: AttentionPattern;
  readonly shape: MaskShape;
  readonly plan: AttentionPlan;
}

const kept = new WeakMap<Machine, RecentlyUsed<KeptPlan>>();

function planOf(owner: Machine, pattern: AttentionPattern, shape: MaskShape): AttentionPlan {
  const plans = kept.get(owner) ?? new RecentlyUsed<KeptPlan>(PLANS_KEPT, ({ plan }) => plan.free());
  kept.set(owner, plans);
  const fits = (known: KeptPlan): boolean => known.pattern === pattern && sameMaskShape(known.shape, shape);
  const make = (): KeptPlan => ({
    pattern,
    shape: copyMaskShape(shape),
    plan: planAttention(owner, pattern, shape),
  });
  return plans.get(fits, make).plan;
}

/** The stream of random numbers, below which part of its 24 bits a probability is dropped, and the others' factor. */
function dropoutWords({ dropout }: AttentionCall): Word[] {
  if (!dropout || dropout.rate === 0) return [0, 0, 0, 0];
  const { rate, address } = dropout;
  return [...randomStream(address).key, Math.ceil(rate * 2 ** 24), float(1 / (1 - rate))];
}

/** Why no kernel of attention can run a call. */
export function whyNoTask({ q, v, modifiers = [] }: AttentionCall): string[] {
  const widest = Math.max(q.shape[3]!, v.shape[3]!);
  return [
    ...(modifiers.length > GREATEST_MODIFIERS
      ? [`${modifiers.length} modifiers are more than ${GREATEST_MODIFIERS}`]
      : []),
    ...(widest > GREATEST_WIDTH ? [`heads of ${widest} are wider than ${GREATEST_WIDTH}`] : []),
  ];
}

/** What a kernel of attention works on. */
export interface AttentionWork {
  readonly call: AttentionCall;
  readonly output: Tensor;
  /** What a pass leaves for the next one, [B, H, Lq, 2]. @default none, but where the parts of a head need it */
  readonly stats?: Tensor;
  /** Where the gradients of what the modifiers look up are added. */
  readonly gradients?: readonly Readonly<Record<string, Tensor>>[];
  /** Whether keys are packed for the product, instead of scored one by one. @default true */
  readonly packsKeys?: boolean;
}

/**
 * Runs a kernel of attention; what it takes of the heap for it is freed, whatever happens.
 * @param more Words of the kernel's task behind those that all of them share.
 */
export function runAttention(
  kernelName: string,
  owner: Machine,
  { call, output, stats, gradients, packsKeys = true }: AttentionWork,
  more: readonly Word[] = [],
): void {
  const { q, k, v, scale = 1 / Math.sqrt(q.shape[3]!) } = call;
  const [batch, heads, queries, width] = q.shape as [number, number, number, number];
  const [, keyHeads, capacity, valueWidth] = v.shape as [number, number, number, number];
  const shape = maskShapeOf(call);
  const plan = planOf(owner, call.pattern, shape);
  const passesOn = kernelName === "attention" && plan.hasParts;
  const left = stats ?? (passesOn ? owner.output([batch, heads, queries, 2]) : undefined);
  const modifiers = placeModifiers(owner, call, shape, gradients);
  try {
    owner.run(kernelName, [
      ...[q, k, v, output].map((tensor) => owner.address(tensor)),
      plan.address,
      ...plan.strides,
      batch,
      heads,
      keyHeads,
      queries,
      capacity,
      width,
      valueWidth,
      plan.queryTiles,
      plan.keyTiles,
      float(scale),
      owner.tile.columns,
      owner.tile.rows,
      shape.keyLength,
      modifiers.queryOffsets,
      modifiers.address,
      modifiers.count,
      modifiers.lookups,
      ...dropoutWords(call),
      packsKeys ? 1 : 0,
      left ? owner.address(left) : 0,
      ...more,
    ]);
  } finally {
    modifiers.free();
  }
}
