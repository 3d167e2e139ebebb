import type { Figure, FigureContext, LazyMeasurement } from "./figure.ts";
import type { KeptResults } from "./results.ts";

export interface MeasureOptions {
  readonly issue: string;
  readonly measurements: Readonly<Record<string, LazyMeasurement>>;
  readonly kept: KeptResults;
  /** Only the measurement of this name. */
  readonly only?: string | undefined;
  /** Measure again what an earlier run has finished. @default false */
  readonly fresh?: boolean | undefined;
  readonly context: FigureContext;
}

/**
 * Measures one after the other and gives a row for each figure. A measurement that throws or gives nothing is a row
 * that did not hold; it is not kept, so the next run tries again.
 *
 * @throws RangeError when `only` names none.
 */
export async function measure({
  issue,
  measurements,
  kept,
  only,
  fresh,
  context,
}: MeasureOptions): Promise<Figure[]> {
  const names = Object.keys(measurements);
  if (only !== undefined && !names.includes(only))
    throw new RangeError(`figures: --only must be one of ${names.join(", ")}, got "${only}"`);
  const rows: Figure[] = [];
  for (const name of only === undefined ? names : [only]) {
    const earlier = fresh ? undefined : kept.read(issue, name);
    if (earlier) context.progress(`${name}: kept from an earlier run of this code (--fresh measures again)`);
    rows.push(...(earlier ?? (await measureOne(name))));
  }
  return rows;

  async function measureOne(name: string): Promise<readonly Figure[]> {
    context.progress(`${name}: measuring`);
    const progress = (text: string): void => context.progress(`${name}: ${text}`);
    try {
      const load = measurements[name];
      const figures = (await (await load?.())?.default({ progress })) ?? [];
      if (figures.length === 0) throw new Error("it gave no figure");
      kept.write(issue, name, figures);
      return figures;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return [{ figure: name, target: "measured", measured: `not measured: ${reason}`, held: false }];
    }
  }
}

/** `figure | target | measured | held`, aligned, with a heading. */
export function tableOf(rows: readonly Figure[]): string {
  const cells = [
    ["figure", "target", "measured", "held"],
    ...rows.map(({ figure, target, measured, held }) => [figure, target, measured, held ? "yes" : "NO"]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | "))
    .join("\n");
}
