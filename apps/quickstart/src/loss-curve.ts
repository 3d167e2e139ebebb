import asciichart from "asciichart";

/** A small chart of the training loss, averaged to at most `columns` points. */
export function lossCurve(losses: readonly number[], columns = 60): string {
  const points = Math.min(columns, losses.length);
  const averaged = Array.from({ length: points }, (_, i) => {
    const part = losses.slice(
      Math.floor((i * losses.length) / points),
      Math.max(Math.floor(((i + 1) * losses.length) / points), Math.floor((i * losses.length) / points) + 1),
    );
    return part.reduce((sum, loss) => sum + loss, 0) / part.length;
  });
  // A single point has no height; the chart needs two.
  return asciichart.plot(averaged.length === 1 ? [averaged[0]!, averaged[0]!] : averaged, { height: 8 });
}
