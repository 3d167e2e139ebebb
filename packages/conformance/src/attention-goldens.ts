import type { Tensor } from "@tensorflow/tfjs-core";
import {
  anyOf,
  attention,
  causal,
  documents,
  full,
  lookup,
  modifier,
  padding,
  pattern,
  score,
  slidingWindow,
  softCap,
  variables,
} from "@heddle/attention";
import type { AttentionCall, AttentionPattern, TokenAttributes } from "@heddle/attention";
import type { GoldenCall, GoldenTable } from "./test-goldens.ts";

/** Any boolean mask [B|1, H|1, Lq|1, Lk], 1 where a pair is allowed, as a pattern over query attributes. */
export function maskPattern(
  bits: Int32Array,
  shape: readonly number[],
  queries: number,
): { pattern: AttentionPattern; attributes: TokenAttributes } {
  const [batch, heads, rows, keys] = shape as [number, number, number, number];
  const name = (head: number, key: number): string => `head${head}key${key}`;
  const attribute = (head: number, key: number): Int32Array =>
    Int32Array.from({ length: batch * queries }, (_, at) => {
      const [b, i] = [Math.floor(at / queries), rows === 1 ? 0 : at % queries];
      return bits[((b * heads + head) * rows + i) * keys + key]!;
    });
  const places = Array.from({ length: heads * keys }, (_, i) => [Math.floor(i / keys), i % keys] as const);
  return {
    attributes: {
      batch,
      query: Object.fromEntries(places.map(([head, key]) => [name(head, key), attribute(head, key)])),
    },
    pattern: pattern("mask", {}, ({ query, key, head }) =>
      anyOf(
        places.map(([h, j]) => {
          const here = key.equals(j).and(query.attribute(name(h, j)).equals(1));
          return heads === 1 ? here : here.and(head.equals(h));
        }),
      ),
    ),
  };
}

const attend = (
  { tensors: { query, key, value } }: GoldenCall,
  settings: Omit<AttentionCall, "q" | "k" | "v">,
): Tensor => attention({ ...settings, q: query!, k: key!, v: value! });

const by =
  (settings: Omit<AttentionCall, "q" | "k" | "v">) =>
  (call: GoldenCall): Tensor =>
    attend(call, settings);

const masked = (call: GoldenCall): Tensor =>
  attend(call, maskPattern(call.integers("mask"), call.shape("mask"), call.shape("query")[2]!));

const keep = { batch: 2, key: { keep: Int32Array.of(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0) } };
const document = Int32Array.of(0, 0, 0, 1, 1, 2, 2);

/** The cases of `attention.safetensors`, by the attention operation. */
export const attentionGoldens: GoldenTable = {
  bias: (call) =>
    attend(call, {
      pattern: full(),
      modifiers: [
        modifier("bias", {}, score.plus(lookup("bias", variables.key)), { bias: call.tensors["bias"]! }),
      ],
    }),
  causal: by({ pattern: causal() }),
  full: by({ pattern: full() }),
  grouped: masked,
  "grouped-causal": by({ pattern: causal() }),
  longformer: "a mechanism, checked beside it",
  "mask-causal-padding": masked,
  "mask-documents": by({
    pattern: documents(),
    attributes: { query: { document }, key: { document } },
  }),
  "mask-padding": by({ pattern: padding(), attributes: keep }),
  "mask-random": masked,
  "mask-window": by({ pattern: slidingWindow({ before: 2, after: 1 }) }),
  "multi-query": masked,
  "query-offset": by({ pattern: causal(), queryOffset: 7 }),
  scale: by({ pattern: full(), scale: 0.3 }),
  "soft-cap": by({ pattern: causal(), modifiers: [softCap({ cap: 1.5 })] }),
  "value-width": by({ pattern: full() }),
};
