// Every kernel against the reference composition and tfjs's own operations on the same device.
import { runSuite } from "../../bench/suite.ts";
import { webgpuKernels } from "../../bench/suites/webgpu.ts";
import type { Figure, FigureContext } from "../figure.ts";

const AT_LEAST = 1;

/** Takes about ten minutes in software. */
export default async function kernelsFigure({ progress }: FigureContext): Promise<Figure[]> {
  const suite = await webgpuKernels();
  progress(suite.mode);
  const figures: Figure[] = [];
  for await (const row of runSuite("webgpu", suite, { repeats: 15 })) {
    const ratios = Object.entries(row.ratio);
    figures.push({
      figure: row.case,
      target: `>= ${AT_LEAST}x ${ratios.map(([peer]) => peer).join(" and ")}`,
      measured: `${ratios.map(([peer, ratio]) => `${ratio.toFixed(2)}x ${peer}`).join(", ")} (${row.ours.toPrecision(3)} ms ±${(50 * row.spread).toFixed(0)} %)`,
      held: ratios.length > 0 && ratios.every(([, ratio]) => ratio >= AT_LEAST),
    });
    progress(row.case);
  }
  await suite.stop();
  return figures;
}
