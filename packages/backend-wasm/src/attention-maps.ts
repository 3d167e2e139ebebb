import { attentionMapsOperation } from "@heddle/attention";
import type { AttentionMapsCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import { runAttention, whyNoTask } from "./attention-task.ts";
import { HeapImage } from "./heap-image.ts";
import { machine } from "./machine.ts";

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

/** Probabilities of the rows that are asked for, from the tiles in which the pattern allows a pair. */
export const attentionMapsWasm: Kernel<AttentionMapsCall> = kernel(attentionMapsOperation, {
  name: "attentionMaps.f32.wasm.tile24x64",
  backend: "wasm",
  unsupported: (call) => whyNoTask(call),
  forward({ heads, rows, ...call }) {
    const owner = machine();
    const [batch, headCount, queries, keys] = [
      ...call.q.shape.slice(0, 3),
      call.keyLength ?? call.k.shape[2],
    ];
    const [ofHeads, ofRows] = [heads ?? numbers(headCount!), rows ?? numbers(queries!)];
    const output = owner.output([batch!, ofHeads.length, ofRows.length, keys!]);
    const image = new HeapImage();
    const headList = image.put([...ofHeads]);
    const byRow = ofRows.map((row, place) => [row, place] as const).toSorted(([a], [b]) => a - b);
    const rowList = image.put(byRow.flat());
    const { addressOf, free } = image.load(owner);
    try {
      const lists = [headList, rowList].map(addressOf);
      runAttention("attention_maps", owner, { call, output }, [...lists, ofHeads.length, ofRows.length]);
    } finally {
      free();
    }
    return { output };
  },
});
