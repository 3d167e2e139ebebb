import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core";
import {
  HeddleError,
  checkFloatsOf,
  checkInteger,
  checkNumber,
  defineOperation,
  isDifferentiating,
  reject,
  run,
} from "@heddle/core";
import type { Operation } from "@heddle/core";
import type { LayerCache } from "./cache.ts";
import type { AttentionCall } from "./call.ts";
import type { AttentionModifier } from "./expression/modifier.ts";
import { and, checkPattern, pattern as definePattern } from "./expression/pattern.ts";
import { dependsOnLength, reads } from "./expression/tree.ts";
import type { AttentionPattern } from "./expression/tree.ts";
import { attentionGradient, referenceAttention } from "./reference.ts";

/** A call of `attention`, which may keep its keys and values in a cache. */
export interface CachedAttentionCall extends AttentionCall {
  /**
   * Where k and v are written, in place, at the positions that follow those held; the queries then see all of them.
   * Sets `queryOffset` and `keyLength`. Not while differentiating.
   */
  readonly cache?: LayerCache;
}

/** The tables of a modifier's expression. */
function tablesOf(modifier: AttentionModifier): Readonly<Record<string, Tensor>> {
  // A modifier is plain data for the expression language; here its tables are tensors.
  return (modifier.tables ?? {}) as Readonly<Record<string, Tensor>>;
}

function inputs({ q, k, v, modifiers = [] }: AttentionCall): NamedTensorMap {
  const found: NamedTensorMap = { q, k, v };
  modifiers.forEach((modifier, i) => {
    for (const [name, table] of Object.entries(tablesOf(modifier))) found[`modifiers[${i}].${name}`] = table;
  });
  return found;
}

function withInputs(call: AttentionCall, tensors: NamedTensorMap): AttentionCall {
  const modifiers = call.modifiers?.map((modifier, i) => ({
    ...modifier,
    tables: Object.fromEntries(
      Object.keys(tablesOf(modifier)).map((name) => [name, tensors[`modifiers[${i}].${name}`]!]),
    ),
  }));
  return { ...call, q: tensors.q!, k: tensors.k!, v: tensors.v!, ...(modifiers && { modifiers }) };
}

function checkModifier(where: string, modifier: AttentionModifier, [batch, heads, queries]: number[]): void {
  if (modifier?.kind !== "modifier") reject(where, "be a modifier", modifier);
  const tables = tablesOf(modifier);
  for (const name of reads(modifier.score).lookups)
    if (!Object.hasOwn(tables, name))
      reject(`${where} table ${name}`, "be given with the modifier", Object.keys(tables));
  const rule = [batch!, heads!, queries!];
  for (const [name, table] of Object.entries(tables)) {
    checkFloatsOf(`${where} table ${name}`, table, [null, null, null, null]);
    if (rule.some((length, axis) => table.shape[axis] !== 1 && table.shape[axis] !== length))
      reject(
        `${where} table ${name}`,
        `have a shape that broadcasts to [${rule.join(", ")}, any]`,
        table.shape,
      );
  }
}

function validate(call: AttentionCall): void {
  const { q, k, v, pattern, modifiers = [], scale, dropout, queryOffset = 0, keyLength } = call;
  checkFloatsOf("attention: q", q, [null, null, null, null]);
  const [batch, heads, , width] = q.shape as [number, number, number, number];
  checkFloatsOf("attention: k", k, [batch, null, null, width]);
  const [, keyHeads, keys] = k.shape as [number, number, number, number];
  checkFloatsOf("attention: v", v, [batch, keyHeads, keys, null]);
  for (const [name, { shape }] of Object.entries({ q, v }))
    if (shape[3] === 0) reject(`attention: ${name}`, "have heads of a width of at least 1", shape);
  if (heads % keyHeads !== 0)
    reject("attention: heads of q", `be a multiple of the ${keyHeads} heads of k`, heads);
  checkPattern("attention: pattern", pattern);
  if (!Array.isArray(modifiers)) reject("attention: modifiers", "be a list of modifiers", modifiers);
  modifiers.forEach((modifier, i) => checkModifier(`attention: modifiers[${i}]`, modifier, q.shape));
  if (scale !== undefined) checkNumber("attention: scale", scale);
  if (dropout) checkNumber("attention: dropout.rate", dropout.rate, { min: 0, max: 1 - 2 ** -24 });
  if (keyLength !== undefined) checkInteger("attention: keyLength", keyLength, { min: 1, max: keys });
  const offsets = typeof queryOffset === "number" ? [queryOffset] : queryOffset;
  if (!Array.isArray(offsets) || (offsets === queryOffset && offsets.length !== batch))
    reject("attention: queryOffset", `be a number or hold ${batch}, one a batch row`, queryOffset);
  offsets.forEach((offset) => checkInteger("attention: queryOffset", offset, { min: 0 }));
  const attributeRows = call.attributes?.batch ?? 1;
  if (attributeRows !== 1 && attributeRows !== batch)
    reject("attention: attributes.batch", `be 1 or the batch of ${batch}`, attributeRows);
}

/** The operation behind `attention`. Its reference defines what every kernel gives. */
export const attentionOperation: Operation<AttentionCall> = defineOperation<AttentionCall>({
  name: "attention",
  tensors: ["q", "k", "v"],
  inputs,
  withInputs,
  validate,
  forward: referenceAttention,
  gradient: attentionGradient,
});

/** Keys that a row of the cache holds: those before the end of its queries; the slots behind belong to longer rows. */
const held = definePattern("held", {}, ({ key, queryLength }) => key.isLess(queryLength));
const heldOnly = new WeakMap<AttentionPattern, AttentionPattern>();

/** A pattern without the slots that a shorter row of a ragged cache does not hold. */
function withinRow(pattern: AttentionPattern): AttentionPattern {
  const known = heldOnly.get(pattern) ?? and(pattern, held);
  heldOnly.set(pattern, known);
  return known;
}

/**
 * softmax(modified(scale q k^T) where the pattern allows it) v: [B, H, Lq, E]. A query that sees no key gives zeros.
 * @throws HeddleError `invalid-argument` for shapes that do not fit, a missing attribute, or a pattern that allows
 * nothing at all; `invalid-state` for a cache while differentiating; `unsupported` for a cache with a pattern or a
 * modifier that changes with the length.
 */
export function attention({ cache, ...call }: CachedAttentionCall): Tensor {
  if (!cache) return run(attentionOperation, call);
  if (isDifferentiating())
    throw new HeddleError(
      "invalid-state",
      "attention: cache must not be used while differentiating, since no gradient flows through it",
    );
  const { pattern: asked, modifiers = [] } = call;
  checkPattern("attention: pattern", asked);
  const lengthReader = modifiers.find(({ score }) => dependsOnLength(score));
  if (lengthReader)
    throw new HeddleError(
      "unsupported",
      `attention: modifier ${lengthReader.name} must not read a length to be used with a cache, where the length grows; run it without one`,
    );
  if (call.q.shape[2] !== call.k.shape[2])
    reject("attention: q", `have the ${call.k.shape[2]} tokens of k, which the cache takes`, call.q.shape);
  if (!asked.prefixStable)
    throw new HeddleError(
      "unsupported",
      `attention: pattern ${asked.name} must not change with the length to be used with a cache; run it without one (for BigBird: direction "past")`,
    );
  const { k, v, queryOffset, keyLength } = cache.append(call.k, call.v);
  const isRagged = queryOffset.some((offset) => offset !== queryOffset[0]);
  const pattern = isRagged ? withinRow(asked) : asked;
  return run(attentionOperation, { ...call, pattern, k, v, queryOffset, keyLength });
}
