import { attentionOperation, copyMaskShape, maskShapeOf, sameMaskShape } from "@heddle/attention";
import type { AttentionCall, AttentionPattern, MaskShape } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import { placeModifiers } from "./attention-modifiers.ts";
import { planAttention } from "./attention-plan.ts";
import type { AttentionPlan } from "./attention-plan.ts";
import { float, machine } from "./machine.ts";
import type { Machine } from "./machine.ts";

/** The widest head: four of its rows and a tile of scores fit the first cache. */
const GREATEST_WIDTH = 256;

/** Plans kept, since the layers of a model and the steps of a run ask for the same few. */
const PLANS_KEPT = 16;

interface KeptPlan {
  readonly pattern: AttentionPattern;
  readonly shape: MaskShape;
  readonly plan: AttentionPlan;
}

/** The plans of each machine, the one used last in front. */
const kept = new WeakMap<Machine, KeptPlan[]>();

function planOf(owner: Machine, pattern: AttentionPattern, shape: MaskShape): AttentionPlan {
  const plans = kept.get(owner) ?? [];
  kept.set(owner, plans);
  const at = plans.findIndex((known) => known.pattern === pattern && sameMaskShape(known.shape, shape));
  const found = at >= 0 ? plans.splice(at, 1)[0]! : undefined;
  const entry = found ?? { pattern, shape: copyMaskShape(shape), plan: planAttention(owner, pattern, shape) };
  plans.unshift(entry);
  while (plans.length > PLANS_KEPT) plans.pop()!.plan.free();
  return entry.plan;
}

/** Flash attention over the tiles in which the pattern allows a pair: https://arxiv.org/abs/2205.14135. */
export const attentionWasm: Kernel<AttentionCall> = kernel(attentionOperation, {
  name: "attention.f32.wasm.tile24x64",
  backend: "wasm",
  unsupported({ q, v, dropout }) {
    const widest = Math.max(q.shape[3]!, v.shape[3]!);
    return [
      ...(dropout && dropout.rate > 0 ? ["it has no dropout"] : []),
      ...(widest > GREATEST_WIDTH ? [`heads of ${widest} are wider than ${GREATEST_WIDTH}`] : []),
    ];
  },
  forward(call) {
    const owner = machine();
    const { q, k, v, pattern, scale = 1 / Math.sqrt(q.shape[3]!) } = call;
    const [batch, heads, queries, width] = q.shape as [number, number, number, number];
    const [, keyHeads, capacity, valueWidth] = v.shape as [number, number, number, number];
    const shape = maskShapeOf(call);
    const plan = planOf(owner, pattern, shape);
    const output = owner.output([batch, heads, queries, valueWidth]);
    const modifiers = placeModifiers(owner, call, shape);
    owner.run("attention", [
      ...[q, k, v, output].map((tensor) => owner.address(tensor)),
      plan.address,
      ...plan.strides,
      ...[batch, heads, keyHeads, queries, capacity, width, valueWidth],
      plan.keyTiles,
      float(scale),
      owner.tile.columns,
      owner.tile.rows,
      shape.keyLength,
      modifiers.queryOffsets,
      modifiers.address,
      modifiers.count,
      modifiers.lookups,
    ]);
    modifiers.free();
    return { output };
  },
});
