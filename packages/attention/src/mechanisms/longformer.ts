import { checkFields, checkInteger, reject, residual } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { TokenAttributes } from "../expression/mask.ts";
import { and, or, pattern } from "../expression/pattern.ts";
import type { AttentionPattern } from "../expression/tree.ts";
import { mergeHeads, splitHeads } from "../heads.ts";
import type { AttentionMechanism, MechanismCall, MechanismShape } from "../mechanism.ts";
import { attention } from "../operation.ts";
import { dilated } from "../patterns/dilated.ts";

export interface LongformerOptions {
  /** Both sides together, even, as Hugging Face's `attention_window`: each token sees window / 2 before and after it. */
  readonly window: number;
  /** Steps between the keys of the window; one for all heads, or one a head (paper §3.1). @default 1 */
  readonly dilation?: number | readonly number[];
}

/** The token attribute that names the global tokens: not 0 for those. Without it there are none. */
const GLOBAL = "global";

/** Tokens with global attention: a pattern on either side. */
const globalQuery = pattern("global-query", {}, ({ query }) => query.attribute(GLOBAL).notEquals(0));
const localQuery = pattern("local-query", {}, ({ query }) => query.attribute(GLOBAL).equals(0));
const globalKey = pattern("global-key", {}, ({ key }) => key.attribute(GLOBAL).notEquals(0));
/** Padded queries give zeros here, unlike in dense attention (Hugging Face's LongformerSelfAttention). */
const keptQuery = pattern("kept-query", {}, ({ query }) => query.attribute("keep").equals(1));

/** What local queries see, and what global ones do. */
interface Parts {
  readonly local: AttentionPattern;
  readonly global: AttentionPattern;
}

/**
 * Sliding-window attention with global tokens: https://arxiv.org/abs/2004.05150 §3.1. A local token sees its window and
 * every global token; a global token sees everything, through projections of its own (`query_global`, `key_global`,
 * `value_global`), which start as copies of the layer's when added to weights that lack them.
 *
 * Global tokens are those whose attribute "global" is not 0. The causal form, which Hugging Face does not have, leaves
 * later keys out of both parts.
 */
export function longformer(options: LongformerOptions): AttentionMechanism {
  checkFields("longformer: options", options, ["window", "dilation"]);
  const { window, dilation = 1 } = options;
  checkInteger("longformer: window", window, { min: 2 });
  if (window % 2 !== 0) reject("longformer: window", "be even", window);
  const band = dilated({ window: { before: window / 2, after: window / 2 }, dilation });
  const parts = (base: AttentionPattern): Parts => ({
    local: and(base, localQuery, or(band, globalKey)),
    global: and(base, globalQuery),
  });
  const known = new WeakMap<MechanismShape["allowed"], { readonly plain: Parts; readonly padded: Parts }>();
  /** The same patterns for every layer with this mechanism, so that they share their masks. */
  const partsWithin = (
    allowed: MechanismShape["allowed"],
  ): { readonly plain: Parts; readonly padded: Parts } => {
    const made = known.get(allowed) ?? {
      plain: parts(allowed.plain),
      padded: parts(and(allowed.padded, keptQuery)),
    };
    known.set(allowed, made);
    return made;
  };
  return {
    kind: "mechanism",
    name: "longformer",
    options: { window, dilation },
    capabilities: { causal: true, cache: false, maps: false },
    build(weights, shape: MechanismShape) {
      const { width, heads, keyHeads, headWidth, projections, allowed } = shape;
      const project = (role: "query" | "key" | "value", count: number): ((x: Tensor) => Tensor) => {
        const layer = weights.linear(`${role}_global`, {
          in: width,
          out: count * headWidth,
          from: projections[role],
        });
        return (x) => splitHeads({ x: layer(x), heads: count });
      };
      const [query, key, value] = [
        project("query", heads),
        project("key", keyHeads),
        project("value", keyHeads),
      ];
      const { plain, padded } = partsWithin(allowed);
      return ({ x, q, k, v, padded: isPadded, turn = (y) => y, ...call }) => {
        const { attributes, anyLocal, anyGlobal } = marked(call, isPadded, q);
        const { local, global } = isPadded ? padded : plain;
        const outputs: Tensor[] = [];
        // Each part is zero in the rows of the other, so that their sum is both.
        // Where nothing is kept, this is what says so.
        if (anyLocal || !anyGlobal) outputs.push(attention({ ...call, q, k, v, attributes, pattern: local }));
        if (anyGlobal)
          outputs.push(
            attention({
              ...call,
              q: turn(query(x)),
              k: turn(key(x)),
              v: value(x),
              attributes,
              pattern: global,
            }),
          );
        const [one, other] = outputs.map(mergeHeads);
        return other ? residual(one!, other) : one!;
      };
    },
  };
}

/** The attributes of a call with "global" on both sides: 0 where it is not given, and for padding, which wins. */
function marked(
  { attributes = {} }: Pick<MechanismCall, "attributes">,
  padded: boolean,
  q: Tensor,
): { attributes: TokenAttributes; anyLocal: boolean; anyGlobal: boolean } {
  const batch = attributes.batch ?? 1;
  const given = attributes.query?.[GLOBAL] ?? new Int32Array(batch * q.shape[2]!);
  const keep = padded ? attributes.query?.keep : undefined;
  const globals = keep ? given.map((flag, token) => flag * keep[token]!) : given;
  return {
    attributes: {
      batch,
      query: { ...attributes.query, [GLOBAL]: globals },
      key: { ...attributes.key, [GLOBAL]: globals },
    },
    anyLocal: globals.some((flag, token) => flag === 0 && keep?.[token] !== 0),
    anyGlobal: globals.some((flag) => flag !== 0),
  };
}
