import { isDeepStrictEqual } from "node:util";
import type { GoldenFile, StoredTensor } from "./safetensors.ts";

/**
 * The greatest difference that two runs of PyTorch may have, relative to a tensor's largest entry (at least 1).
 * One machine gives equal bytes; other instruction sets were seen to differ by up to 1.2e-6.
 */
const tolerance = 5e-6;

/** What a comparison found: one sentence for each difference, and the largest relative one within the tolerance. */
export interface Comparison {
  readonly problems: readonly string[];
  readonly largest: number;
}

/** Compares a golden with the one made again. The document must be equal; integers and masks too. */
export function compareGoldens(committed: GoldenFile, made: GoldenFile): Comparison {
  const problems: string[] = [];
  let largest = 0;
  if (!isDeepStrictEqual(committed.document, made.document)) problems.push("the metadata differs");
  for (const name of new Set([...committed.tensors.keys(), ...made.tensors.keys()])) {
    const [a, b] = [committed.tensors.get(name), made.tensors.get(name)];
    if (!a || !b) problems.push(`${name} is only in the ${a ? "committed" : "new"} file`);
    else if (a.dtype !== b.dtype || !isDeepStrictEqual(a.shape, b.shape))
      problems.push(
        `${name} is ${a.dtype} [${a.shape.join(", ")}], made again ${b.dtype} [${b.shape.join(", ")}]`,
      );
    else {
      const difference = relativeDifference(a, b);
      if (difference <= tolerance) largest = Math.max(largest, difference);
      else problems.push(`${name} differs by ${difference.toExponential(1)} of its largest entry`);
    }
  }
  return { problems, largest };
}

function relativeDifference(a: StoredTensor, b: StoredTensor): number {
  let scale = 1;
  let difference = 0;
  for (let i = 0; i < a.values.length; i += 1) {
    if (a.values[i] === b.values[i]) continue;
    if (a.dtype !== "F32") return Infinity;
    const apart = Math.abs(Number(a.values[i]) - Number(b.values[i]));
    if (Number.isNaN(apart)) return Infinity;
    difference = Math.max(difference, apart);
  }
  if (difference > 0) for (const value of a.values) scale = Math.max(scale, Math.abs(Number(value)));
  return difference / scale;
}
