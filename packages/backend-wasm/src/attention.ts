import { attentionOperation } from "@heddle/attention";
import type { AttentionCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { runAttention, whyNoTask } from "./attention-task.ts";
import type { AttentionWork } from "./attention-task.ts";
import { machine } from "./machine.ts";
import type { Machine } from "./machine.ts";

/** Fewer queries than this are scored key by key, since packing the keys would cost more than the product. */
const PACKED_FROM = 4;

/** What the forward pass gave. */
type Forward = Required<Pick<AttentionWork, "output" | "stats">>;

/** Gradients of q, k and v. */
function inputGradients(owner: Machine, call: AttentionCall, dy: Tensor, forward: Forward): Tensor[] {
  const gradients = [call.q, call.k, call.v].map(({ shape }) => owner.output(shape));
  const more = [dy, ...gradients].map((tensor) => owner.address(tensor));
  runAttention("attention_backward", owner, { call, ...forward }, more);
  return gradients;
}

/** Gradients of the tensors that the modifiers look up, one record a modifier. */
function tableGradients(
  owner: Machine,
  call: AttentionCall,
  dy: Tensor,
  forward: Forward,
): Readonly<Record<string, Tensor>>[] {
  const [batch, heads] = call.q.shape as [number, number];
  const tablesOf = ({ tables = {} }: { tables?: object }): [string, Tensor][] => Object.entries(tables);
  // Units add to the part of their own batch row and head; the sum over those that share a tensor follows.
  const sums = (call.modifiers ?? []).map((modifier) =>
    Object.fromEntries(
      tablesOf(modifier).map(([name, { shape }]) => [name, tf.zeros([batch, heads, shape[2]!, shape[3]!])]),
    ),
  );
  const work = { call, ...forward, gradients: sums };
  runAttention("attention_backward", owner, work, [owner.address(dy), 0, 0, 0]);
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
  unsupported: whyNoTask,
  forward(call, { differentiating }) {
    const owner = machine();
    const [batch, heads, queries] = call.q.shape as [number, number, number];
    const output = owner.output([batch, heads, queries, call.v.shape[3]!]);
    const stats = differentiating ? owner.output([batch, heads, queries, 2]) : undefined;
    // The backward pass packs them, and its probabilities must be those of the forward pass.
    const packsKeys = differentiating || queries >= PACKED_FROM;
    runAttention("attention", owner, { call, output, ...(stats && { stats }), packsKeys });
    return { output, ...(stats && { saved: [output, stats] }) };
  },
  gradient({ call, saved, dy }) {
    const owner = machine();
    const [output, stats] = saved as readonly [Tensor, Tensor];
    const forward = { output, stats };
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
