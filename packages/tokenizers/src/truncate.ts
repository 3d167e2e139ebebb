/** Which text gives way when a sequence is too long. */
export type Truncation = "longest-first" | "only-first" | "only-second";

/** The lengths to keep of two texts so that they fit into `room` tokens, or undefined when they cannot. */
export function keptLengths(
  truncation: Truncation,
  first: number,
  second: number,
  room: number,
): readonly [first: number, second: number] | undefined {
  if (first + second <= room) return [first, second];
  if (truncation === "only-first") return second < room ? [room - second, second] : undefined;
  if (truncation === "only-second") return first < room ? [first, room - first] : undefined;
  // Hugging Face's rule: the shorter stays whole while it has at most half; the odd token goes to the longer.
  const shorter = Math.min(first, second);
  const half = Math.floor(room / 2);
  const kept = shorter <= half ? shorter : half;
  return first <= second ? [kept, room - kept] : [room - kept, kept];
}

/** Windows of `size` over `length` tokens, each sharing `stride` tokens with the one before: [start, end]. */
export function windows(
  length: number,
  size: number,
  stride: number,
): readonly (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (let start = 0; ; start += size - stride) {
    const end = Math.min(start + size, length);
    found.push([start, end]);
    if (end === length) return found;
  }
}
