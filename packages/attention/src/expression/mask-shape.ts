/** When two calls have the same mask. */
import { reject } from "@heddle/core";
import type { MaskShape, TokenAttributes } from "./mask.ts";
import type { AttentionPattern } from "./tree.ts";

const sameList = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};

/** Positions of the first query rows: one for all batch rows, or one each. */
export const offsetsOf = ({ queryOffset = 0 }: MaskShape): readonly number[] =>
  typeof queryOffset === "number" ? [queryOffset] : queryOffset;

function sameAttributes(a: TokenAttributes = {}, b: TokenAttributes = {}): boolean {
  if ((a.batch ?? 1) !== (b.batch ?? 1)) return false;
  return (["query", "key"] as const).every((side) => {
    const [left, right] = [a[side] ?? {}, b[side] ?? {}];
    const names = Object.keys(left);
    return (
      names.length === Object.keys(right).length &&
      names.every((name) => Object.hasOwn(right, name) && sameList(left[name]!, right[name]!))
    );
  });
}

/** Whether a pattern has the same mask in two calls, as far as their shapes tell. */
export function sameMaskShape(a: MaskShape, b: MaskShape): boolean {
  return (
    a.heads === b.heads &&
    a.queryRows === b.queryRows &&
    a.keyLength === b.keyLength &&
    sameList(offsetsOf(a), offsetsOf(b)) &&
    sameAttributes(a.attributes, b.attributes)
  );
}

/** A copy to compare with later: the caller may write to its arrays before it calls again. */
export function copyMaskShape(shape: MaskShape): MaskShape {
  const { batch = 1, query = {}, key = {} } = shape.attributes ?? {};
  const copy = (arrays: Readonly<Record<string, Int32Array>>): Record<string, Int32Array> =>
    Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, values.slice()]));
  return {
    ...shape,
    queryOffset: [...offsetsOf(shape)],
    attributes: { batch, query: copy(query), key: copy(key) },
  };
}

/**
 * Refuses a call whose pattern allows no pair. Single rows, while decoding, may see nothing, as rows of a whole
 * sequence may.
 */
export function checkAllowsSomething(pattern: AttentionPattern, shape: MaskShape, allows: boolean): void {
  if (allows || offsetsOf(shape).some((offset) => offset !== 0)) return;
  reject(
    `attention: pattern ${pattern.name}`,
    `allow at least one pair of ${shape.queryRows} queries and ${shape.keyLength} keys`,
    pattern.options,
  );
}
