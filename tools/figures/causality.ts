// A decoder never sees the future: every attention under every position, the logits compared to the last bit.
import { cpu } from "@heddle/backend-cpu";
import { wasm } from "@heddle/backend-wasm";
import { webgpu } from "@heddle/backend-webgpu";
import {
  attentionSamples,
  futureLeaks,
  mechanismSamples,
  patternSamples,
  positionSamples,
  smallDecoder,
} from "@heddle/conformance";
import { startBackend } from "@heddle/core";
import type { BackendStarter } from "@heddle/core";
import type { AttentionChoice } from "@heddle/models";
import { ensureSoftwareGpu } from "../software-gpu/node.ts";
import type { Figure, FigureContext } from "./figure.ts";
import { tableOf } from "./measure.ts";

async function onBackend(
  starter: BackendStarter,
  samples: readonly AttentionChoice[],
  { progress }: FigureContext,
): Promise<Figure> {
  const backend = await startBackend(starter);
  const total = { leaks: 0, compared: 0, blind: 0, cases: 0, empty: 0 };
  for (const position of positionSamples) {
    const decoder = smallDecoder(position);
    for (const attention of samples) {
      const { leaks, compared, blind } = await futureLeaks(decoder, attention);
      total.leaks += leaks;
      total.compared += compared;
      total.blind += blind;
      if (compared === 0) total.empty++;
      else total.cases++;
    }
    decoder.dispose();
    progress(`${backend.name}: ${position.name} measured, ${total.leaks} leaks so far`);
  }
  await backend.dispose();
  const { leaks, compared, blind, cases, empty } = total;
  return {
    figure: `causality on ${backend.name}: ${cases} pairs of attention and position`,
    target: "0 logits changed by a later token",
    measured: `${leaks} of ${compared}; ${empty} more refused, since they allow no pair`,
    held: leaks === 0 && blind === 0 && compared > 0,
  };
}

/** Causality on cpu and wasm in full, on webgpu of the named patterns and the mechanisms. Takes some minutes. */
async function causalityFigure(context: FigureContext): Promise<Figure[]> {
  const all = attentionSamples();
  const figures = [await onBackend(cpu(), all, context), await onBackend(wasm(), all, context)];
  await ensureSoftwareGpu();
  figures.push(await onBackend(webgpu(), [...patternSamples, ...mechanismSamples], context));
  return figures;
}

export default causalityFigure;

if (import.meta.main)
  console.log(tableOf(await causalityFigure({ progress: (text) => console.error(text) })));
