/** Whether two implementations computed the same. */

/** Greatest difference of two results, as a share of the greatest value of the first (at least 1). */
export function differenceOf(ours: Float32Array, theirs: Float32Array): number {
  if (ours.length !== theirs.length) return Infinity;
  let [difference, greatest] = [0, 1];
  for (let i = 0; i < ours.length; i++) {
    const apart = Math.abs(ours[i]! - theirs[i]!);
    // NaN, which infinities give too, would compare as no difference.
    if (!Number.isFinite(apart)) return Infinity;
    if (apart > difference) difference = apart;
    if (Math.abs(ours[i]!) > greatest) greatest = Math.abs(ours[i]!);
  }
  return difference / greatest;
}

/** What implementations of the same in float32 may differ by. */
const TOLERANCE = 1e-4;

/** @throws Error when two results differ by more than the tolerance. */
export function checkAgreement(ours: Float32Array, theirs: Float32Array): void {
  const difference = differenceOf(ours, theirs);
  if (difference > TOLERANCE)
    throw new Error(
      `values must agree within ${TOLERANCE}, got a difference of ${difference.toPrecision(3)}`,
    );
}
