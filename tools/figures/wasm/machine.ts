// What the machine can do: the peak of multiply and add, and reading from DRAM.
import type { Figure, FigureContext } from "../figure.ts";
import { withField } from "./race.ts";
import { probeFigure } from "./rows.ts";

/** Takes some seconds. */
export default function machineFigure(context: FigureContext): Promise<Figure[]> {
  const probes = { peak: { who: "peak", threads: 1 }, stream: { who: "stream", threads: 1 } } as const;
  return withField(probes, context, async (field) => {
    const outcomes = await field.race("machine", { kind: "linear", rows: 1, widths: [1, 1] });
    return [
      probeFigure(outcomes, { figure: "128-bit multiply and add, 1 thread", probe: "peak", unit: "GFLOP/s" }),
      probeFigure(outcomes, { figure: "reading from DRAM, 1 thread", probe: "stream", unit: "GB/s" }),
    ];
  });
}
