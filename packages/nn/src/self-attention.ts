import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  and,
  attention as attend,
  attentionMaps,
  causal,
  full,
  mergeHeads,
  padding,
  splitHeads,
} from "@heddle/attention";
import type { Attention, AttentionCall, AttentionPattern, MechanismShape } from "@heddle/attention";
import { HeddleError, checkFields, checkInteger, checkNumber, reject } from "@heddle/core";
import type { TensorPart, Weights } from "@heddle/core";
import { dropoutOf } from "./context.ts";
import type { LayerContext } from "./context.ts";

/** How the projections of queries, keys and values are called and stored in the checkpoint. */
export type ProjectionNames =
  /** Three layers of torch.nn.Linear's layout. */
  | { readonly query: string; readonly key: string; readonly value: string }
  /** One layer that gives all three side by side, in GPT-2's layout. */
  | { readonly fused: string };

export interface SelfAttentionSpec {
  readonly width: number;
  readonly heads: number;
  /** Heads of the keys and values, of which each serves heads / keyHeads queries. @default heads */
  readonly keyHeads?: number;
  /** What attends to what. */
  readonly attention: Attention;
  /** A decoder: whatever `attention` says, no token sees a later one. @default false */
  readonly causal?: boolean;
  /** Share of the probabilities dropped in training. @default 0 */
  readonly dropout?: number;
  /** Factor of the scores. @default 1 / sqrt(width / heads) */
  readonly scale?: number;
  /** Number of this attention layer in the model, from 0: its place in the cache and among the maps. */
  readonly layer: number;
  /** @default query, key and value */
  readonly names?: ProjectionNames;
}

const specFields = [
  "width",
  "heads",
  "keyHeads",
  "attention",
  "causal",
  "dropout",
  "scale",
  "layer",
  "names",
] as const satisfies readonly (keyof SelfAttentionSpec)[];

type Allowed = MechanismShape["allowed"];

const inEncoder: Allowed = { plain: full(), padded: padding() };
const inDecoder: Allowed = { plain: causal(), padded: and(causal(), padding()) };

const maskedPatterns = new WeakMap<Allowed, WeakMap<AttentionPattern, Allowed>>([
  [inEncoder, new WeakMap()],
  [inDecoder, new WeakMap()],
]);

/** A pattern within what a layer allows; the same for all layers, which then share its masks. */
function maskedBy(pattern: AttentionPattern, allowed: Allowed): Allowed {
  const known = maskedPatterns.get(allowed)!;
  const masked = known.get(pattern) ?? {
    plain: allowed === inEncoder ? pattern : and(allowed.plain, pattern),
    padded: and(allowed.padded, pattern),
  };
  known.set(pattern, masked);
  return masked;
}

/** Declares the projections: a function to the parts of q, k and v, and where each one's weights are. */
function projections(
  weights: Weights,
  names: ProjectionNames,
  [queries, keys]: readonly [queryWidth: number, keyWidth: number],
  width: number,
): { project: (x: Tensor) => readonly TensorPart[]; sources: MechanismShape["projections"] } {
  if ("fused" in names) {
    const out = queries + 2 * keys;
    const layer = weights.linear(names.fused, { in: width, out, layout: "conv1d" });
    const weight = weights.parameter(`${names.fused}.weight`, { shape: [width, out] });
    const bias = weights.parameter(`${names.fused}.bias`, { shape: [out] });
    const part = (begin: number, size: number): MechanismShape["projections"]["query"] => ({
      weight: () => tf.transpose(tf.slice(weight.tensor(), [0, begin], [width, size])),
      bias: () => tf.slice(bias.tensor(), [begin], [size]),
    });
    return {
      project(x) {
        const all = layer(x);
        return [0, queries, queries + keys].map((begin) => ({ x: all, begin }));
      },
      sources: { query: part(0, queries), key: part(queries, keys), value: part(queries + keys, keys) },
    };
  }
  const { query, key, value } = names;
  const source = (name: string, out: number): MechanismShape["projections"]["query"] => {
    const weight = weights.parameter(`${name}.weight`, { shape: [out, width] });
    const bias = weights.parameter(`${name}.bias`, { shape: [out] });
    return { weight: () => weight.tensor(), bias: () => bias.tensor() };
  };
  return {
    project: weights.linears([query, key, value], { in: width, out: [queries, keys, keys] }),
    sources: { query: source(query, queries), key: source(key, keys), value: source(value, keys) },
  };
}

/**
 * Self-attention up to its output projection, which belongs to the model: [B, L, width] to [B, L, width].
 * https://arxiv.org/abs/1706.03762 §3.2.
 *
 * @throws HeddleError for a width that the heads do not divide, and for a mechanism that lacks what is asked of it.
 */
export function selfAttention(
  weights: Weights,
  spec: SelfAttentionSpec,
): (x: Tensor, context: LayerContext) => Tensor {
  const where = `${weights.path}: attention`;
  checkFields(`${where}: options`, spec, specFields);
  const {
    width,
    heads,
    keyHeads = heads,
    attention,
    causal: isCausal = false,
    dropout: rate = 0,
    layer,
  } = spec;
  const { scale, names = { query: "query", key: "key", value: "value" } } = spec;
  if (attention?.kind !== "pattern" && attention?.kind !== "mechanism")
    reject(where, "be a pattern or a mechanism", attention);
  checkInteger(`${where}: heads`, heads, { min: 1 });
  checkInteger(`${where}: keyHeads`, keyHeads, { min: 1, max: heads });
  if (width % heads !== 0) reject(`${where}: width`, `be a multiple of the ${heads} heads`, width);
  if (heads % keyHeads !== 0) reject(`${where}: heads`, `be a multiple of the ${keyHeads} key heads`, heads);
  checkNumber(`${where}: dropout`, rate, { min: 0, max: 1 - 2 ** -24 });
  const headWidth = width / heads;
  const { project, sources } = projections(weights, names, [width, keyHeads * headWidth], width);

  const allowed = isCausal ? inDecoder : inEncoder;
  const settings = (context: LayerContext): Partial<AttentionCall> => ({
    ...(scale !== undefined && { scale }),
    ...dropoutOf(rate, `${weights.path}.dropout`, context),
  });
  const counts = [heads, keyHeads, keyHeads];
  /** The projections are freed: three times the width, beside as much for the heads. */
  const headsOf = (x: Tensor, { turn }: LayerContext): Pick<AttentionCall, "q" | "k" | "v"> =>
    tf.tidy(() => {
      const [q, k, v] = project(x).map((part, i) => splitHeads({ ...part, heads: counts[i]!, headWidth }));
      return { q: turn ? turn(q!) : q!, k: turn ? turn(k!) : k!, v: v! };
    });

  if (attention.kind === "mechanism") {
    const { name, capabilities } = attention;
    const lacks = (what: string): never => {
      throw new HeddleError("unsupported", `${where}: mechanism ${name} ${what}`);
    };
    if (isCausal && !capabilities.causal)
      lacks("must have a causal form to be used in a decoder, and has none");
    const mechanism = attention.build(weights, {
      width,
      heads,
      keyHeads,
      headWidth,
      causal: isCausal,
      projections: sources,
      allowed,
    });
    return (x, context) => {
      if (context.cache && !capabilities.cache) lacks("does not work with a cache: run without one");
      if (context.maps?.wants(layer) && !capabilities.maps) lacks("gives no attention maps");
      const { attributes, modifiers, padded, positions, turn } = context;
      return mechanism({
        x,
        ...headsOf(x, context),
        attributes,
        modifiers,
        padded,
        positions,
        ...(turn && { turn }),
        ...settings(context),
      });
    };
  }

  const masked = maskedBy(attention, allowed);
  return (x, context) => {
    const { attributes, modifiers, padded, cache, maps } = context;
    const pattern = masked[padded && !cache ? "padded" : "plain"];
    const call = { ...headsOf(x, context), pattern, modifiers, attributes, ...settings(context) };
    if (maps?.wants(layer)) {
      if (cache) throw new HeddleError("unsupported", `${where}: maps must be asked for without a cache`);
      const { heads: ofHeads, rows } = maps;
      maps.give(layer, attentionMaps(call, { ...(ofHeads && { heads: ofHeads }), ...(rows && { rows }) }));
    }
    return mergeHeads(attend({ ...call, ...(cache && { cache: cache.layer(layer) }) }));
  };
}
