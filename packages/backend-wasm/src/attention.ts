import { attentionOperation, copyMaskShape, maskShapeOf, sameMaskShape } from "@heddle/attention";
import type { AttentionCall, AttentionPattern, MaskShape } from "@heddle/attention";
import { kernel, randomStream } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { GREATEST_MODIFIERS, placeModifiers } from "./attention-modifiers.ts";
import { planAttention } from "./attention-plan.ts";
import type { AttentionPlan } from "./attention-plan.ts";
import { float, machine } from "./machine.ts";
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

/** The stream of random numbers, below which part of its 24 bits a probability is dropped, and the others' factor. */
function dropoutWords({ dropout }: AttentionCall): Word[] {
  if (!dropout || dropout.rate === 0) return [0, 0, 0, 0];
  const { rate, address } = dropout;
  return [...randomStream(address).key, Math.ceil(rate * 2 ** 24), float(1 / (1 - rate))];
}

interface PassOptions {
  /** Words of the task behind those that both passes read. */
  readonly more?: readonly Word[];
  /** Where the gradients of what the modifiers look up are added. */
  readonly gradients?: readonly Readonly<Record<string, Tensor>>[];
  /** Whether the keys of a head are packed for the product. @default true */
  readonly packsKeys?: boolean;
}

/** Fewer queries than this are scored key by key, since packing the keys would cost more than the product. */
const PACKED_FROM = 4;

/** Runs one of the two passes; what it takes of the heap for it is freed, whatever happens. */
function pass(
  kernelName: "attention" | "attention_backward",
  owner: Machine,
  call: AttentionCall,
  [output, stats]: readonly [output: Tensor, stats: Tensor],
  { more = [], gradients, packsKeys = true }: PassOptions = {},
): void {
  const { q, k, v, scale = 1 / Math.sqrt(q.shape[3]!) } = call;
  const [batch, heads, queries, width] = q.shape as [number, number, number, number];
  const [, keyHeads, capacity, valueWidth] = v.shape as [number, number, number, number];
  const shape = maskShapeOf(call);
  const plan = planOf(owner, call.pattern, shape);
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
      owner.address(stats),
      ...more,
    ]);
  } finally {
    modifiers.free();
  }
}

/** Gradients of q, k and v. */
function inputGradients(
  owner: Machine,
  call: AttentionCall,
  dy: Tensor,
  forward: readonly [output: Tensor, stats: Tensor],
): Tensor[] {
  const gradients = [call.q, call.k, call.v].map(({ shape }) => owner.output(shape));
  const more = [dy, ...gradients].map((tensor) => owner.address(tensor));
  pass("attention_backward", owner, call, forward, { more });
  return gradients;
}

/** Gradients of the tensors that the modifiers look up, one record a modifier. */
function tableGradients(
  owner: Machine,
  call: AttentionCall,
  dy: Tensor,
  forward: readonly [output: Tensor, stats: Tensor],
): Readonly<Record<string, Tensor>>[] {
  const [batch, heads] = call.q.shape as [number, number];
  const tablesOf = ({ tables = {} }: { tables?: object }): [string, Tensor][] => Object.entries(tables);
  // Units add to the part of their own batch row and head; the sum over those that share a tensor follows.
  const sums = (call.modifiers ?? []).map((modifier) =>
    Object.fromEntries(
      tablesOf(modifier).map(([name, { shape }]) => [name, tf.zeros([batch, heads, shape[2]!, shape[3]!])]),
    ),
  );
  pass("attention_backward", owner, call, forward, { more: [owner.address(dy), 0, 0, 0], gradients: sums });
  return (call.modifiers ?? []).map((modifier, i) =>
    Object.fromEntries(
      tablesOf(modifier).map(([name, { shape }]) => {
        const shared = [0, 1].filter((axis) => shape[axis] === 1);
        return [name, tf.reshape(tf.sum(sums[i]![name]!, shared, true), shape)];
      }),
    ),
  );
}

/** Flash attention over the tiles in which the pattern allows a pair: https://arxiv.org/abs/2205.14135. */
export const attentionWasm: Kernel<AttentionCall> = kernel(attentionOperation, {
  name: "attention.f32.wasm.tile24x64",
  backend: "wasm",
  unsupported({ q, v, modifiers = [] }) {
    const widest = Math.max(q.shape[3]!, v.shape[3]!);
    return [
      ...(modifiers.length > GREATEST_MODIFIERS
        ? [`${modifiers.length} modifiers are more than ${GREATEST_MODIFIERS}`]
        : []),
      ...(widest > GREATEST_WIDTH ? [`heads of ${widest} are wider than ${GREATEST_WIDTH}`] : []),
    ];
  },
  forward(call, { differentiating }) {
    const owner = machine();
    const [batch, heads, queries] = call.q.shape as [number, number, number];
    const output = owner.output([batch, heads, queries, call.v.shape[3]!]);
    // Parts of a head are joined by them, too.
    const stats = owner.output([batch, heads, queries, 2]);
    // The backward pass packs them, and its probabilities must be those of the forward pass.
    const packsKeys = differentiating || queries >= PACKED_FROM;
    pass("attention", owner, call, [output, stats], { packsKeys });
    return { output, ...(differentiating && { saved: [output, stats] }) };
  },
  gradient({ call, saved, dy }) {
    const owner = machine();
    const forward = saved as readonly [output: Tensor, stats: Tensor];
    // All three in one pass over the tiles, made again for each; tensors that are looked up cost a pass more.
    const [dq, dk, dv] = inputGradients(owner, call, dy, forward) as [Tensor, Tensor, Tensor];
    const tables = (call.modifiers ?? []).flatMap(({ tables = {} }, i) =>
      Object.keys(tables).map((name) => [
        `modifiers[${i}].${name}`,
        () => tableGradients(owner, call, dy, forward)[i]![name]!,
      ]),
    );
    return { ...Object.fromEntries(tables), q: () => dq, k: () => dk, v: () => dv };
  },
});
