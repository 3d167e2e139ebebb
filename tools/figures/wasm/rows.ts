/** Rows of the outcomes of a race. */
import type { Figure } from "../figure.ts";
import { outcomeText } from "./race.ts";
import type { Outcomes } from "./race.ts";

export interface RatioRow {
  readonly figure: string;
  readonly ours: string;
  readonly theirs: string;
  /** How many times faster ours must be. Undefined: the ratio is only printed. */
  readonly atLeast?: number;
}

/** What a row without a target says. */
const PRINTED = "printed";

/** How many times faster one is than another. */
export function ratioFigure(outcomes: Outcomes, { figure, ours, theirs, atLeast }: RatioRow): Figure {
  const [own, other] = [outcomes[ours]!, outcomes[theirs]!];
  const target = atLeast === undefined ? PRINTED : `>= ${atLeast}x ${theirs}`;
  const detail = `${ours} ${outcomeText(own)}, ${theirs} ${outcomeText(other)}`;
  const name = `${figure}, ${ours} against ${theirs}`;
  if ("error" in own || "error" in other)
    return { figure: name, target, measured: detail, held: atLeast === undefined && !("error" in own) };
  const ratio = other.median / own.median;
  return {
    figure: name,
    target,
    measured: `${ratio.toFixed(2)}x (${detail})`,
    held: atLeast === undefined || ratio >= atLeast,
  };
}

export interface RateRow {
  readonly figure: string;
  readonly ours: string;
  /** Operations or bytes of a run, in units of 10^9. */
  readonly amount: number;
  readonly unit: "GFLOP/s" | "GB/s";
  /** Who tells the machine's own rate. */
  readonly probe: string;
  /** Share of that which is asked. */
  readonly atLeast: number;
}

/** The rate of a probe, in units of 10^9 a second; undefined where it failed. */
function probeRate(outcomes: Outcomes, probe: string): number | undefined {
  const outcome = outcomes[probe]!;
  return "error" in outcome || !outcome.amount ? undefined : outcome.amount / 1e6 / outcome.median;
}

/** Which share of what the machine can do ours does. */
export function rateFigure(outcomes: Outcomes, row: RateRow): Figure {
  const { figure, ours, amount, unit, probe, atLeast } = row;
  const own = outcomes[ours]!;
  const name = `${figure}, ${ours} against the ${probe}`;
  const target = `>= ${(100 * atLeast).toFixed(0)} %`;
  const most = probeRate(outcomes, probe);
  if ("error" in own || most === undefined) {
    const measured = `${ours} ${outcomeText(own)}, ${probe} ${outcomeText(outcomes[probe]!)}`;
    return { figure: name, target, measured, held: false };
  }
  const rate = (1000 * amount) / own.median;
  return {
    figure: name,
    target,
    measured: `${((100 * rate) / most).toFixed(0)} % (${rate.toFixed(1)} of ${most.toFixed(1)} ${unit}, ${outcomeText(own)})`,
    held: rate / most >= atLeast,
  };
}

/** A row that says something and asks nothing. */
export const printed = (figure: string, measured: string): Figure => ({
  figure,
  target: PRINTED,
  measured,
  held: true,
});

/** The rate of a probe as a row. */
export function probeFigure(
  outcomes: Outcomes,
  { figure, probe, unit }: Pick<RateRow, "figure" | "probe" | "unit">,
): Figure {
  const rate = probeRate(outcomes, probe);
  const measured = rate === undefined ? outcomeText(outcomes[probe]!) : `${rate.toFixed(1)} ${unit}`;
  return { figure, target: PRINTED, measured, held: rate !== undefined };
}
