// What a device is given: programs of a layer, and submits and reads of a token.
import { countDevice, layerDispatches } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { generateTokens } from "@heddle/generation";
import { bert, gpt } from "@heddle/models";
import type { Model } from "@heddle/models";
import type { Figure } from "../figure.ts";
import { onBackend } from "../goldens.ts";

const size = { vocabularySize: 40, maxLength: 32, width: 32, heads: 4 } as const;
const families = {
  bert: (layers: number) => bert({ ...size, layers }, createWeights({ seed: 1 })),
  gpt: (layers: number) => gpt({ ...size, layers }, createWeights({ seed: 1 })),
} satisfies Readonly<Record<string, (layers: number) => Model>>;

const atMost = (figure: string, most: number, measured: number): Figure => ({
  figure,
  target: `<= ${most}`,
  measured: String(measured),
  held: measured <= most,
});

async function tokenFigures(): Promise<Figure[]> {
  const model = families.gpt(2);
  const counter = countDevice();
  let [submits, bytes, reads] = [0, 0, 0];
  for await (const { index } of generateTokens(model, { ids: [1, 2, 3], maxNewTokens: 20 })) {
    const counts = counter.take();
    // The first token is that of the prompt.
    if (index === 0) continue;
    submits = Math.max(submits, counts.submits);
    reads = Math.max(reads, counts.reads.length);
    bytes = Math.max(
      bytes,
      counts.reads.reduce((sum, read) => sum + read, 0),
    );
  }
  counter.stop();
  model.dispose();
  return [
    atMost("submits of a greedy token", 2, submits),
    atMost("reads of a greedy token", 1, reads),
    atMost("bytes that these read", 4, bytes),
  ];
}

/** Takes some seconds. */
export default function countsFigure(): Promise<Figure[]> {
  return onBackend("webgpu", async () => {
    const figures: Figure[] = [];
    for (const [name, make] of Object.entries(families))
      figures.push(atMost(`dispatches of a layer of ${name} in inference`, 8, await layerDispatches(make)));
    return [...figures, ...(await tokenFigures())];
  });
}
