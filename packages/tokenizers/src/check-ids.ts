import { reject } from "@heddle/core";

/** Checks that ids are integers from 0 to `size` (exclusive). */
export function checkIds(where: string, ids: readonly number[], size: number): void {
  if (!Array.isArray(ids)) reject(where, "be an array of token ids", ids);
  for (const id of ids)
    if (!Number.isInteger(id) || id < 0 || id >= size) reject(where, `be integers from 0 to ${size - 1}`, id);
}
