import { withoutTape } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { CalibrationInput, Candidate, Code, Tile } from "./machine.ts";
import { productTime, sampleInputs, sampleResults } from "./samples.ts";
import { widened } from "./wide.ts";

/** Milliseconds in which V8 replaces its first, quick code by the final one: 100 did not reach all activations. */
const WARM_UP = 150;
/** More runs than fit into that, for a clock that stands still, as those of tests do. */
const MOST_RUNS = 300;

/** Candidates of narrow code; 16 columns take more registers than there are. */
const NARROW_TILES: readonly Tile[] = [
  { rows: 4, columns: 8 },
  { rows: 6, columns: 8 },
];
const WIDE_TILE: Tile = { rows: 6, columns: 16 };

/** Wide code that gives bit for bit what narrow code gives. Throws the reason when there is none. */
function wideCandidate({ narrow, binary, imports, use }: CalibrationInput): Candidate {
  const inputs = sampleInputs();
  try {
    const run = (): Float32Array[] => {
      const results = tf.tidy(() => sampleResults(inputs.calls));
      const values = results.map((tensor) => tensor.dataSync<"float32">().slice());
      tf.dispose(results);
      return values;
    };
    const wide = widened(binary, imports, (exports, module): Candidate => {
      const candidate = { code: exports as Code, module, tile: WIDE_TILE, wide: true };
      use(candidate);
      const end = performance.now() + WARM_UP;
      for (let runs = 0; runs < MOST_RUNS && performance.now() < end; runs++)
        tf.dispose(tf.tidy(() => sampleResults(inputs.calls)));
      return candidate;
    });
    const found = run();
    use({ ...narrow, tile: WIDE_TILE, wide: false });
    if (!sameBits(found, run())) throw new Error("its results differ from those of 128-bit code");
    return wide;
  } finally {
    inputs.dispose();
  }
}

function sameBits(left: readonly Float32Array[], right: readonly Float32Array[]): boolean {
  return left.every((values, i) => {
    const [a, b] = [new Uint32Array(values.buffer), new Uint32Array(right[i]!.buffer)];
    return a.every((bits, at) => bits === b[at]);
  });
}

/** The fastest of the candidates, by measurement. The caller uses what it gives. */
export function calibrate(input: CalibrationInput): Candidate {
  return withoutTape(() => {
    const candidates: Candidate[] = NARROW_TILES.map((tile) => ({ ...input.narrow, tile, wide: false }));
    let narrowBecause = "not asked for";
    if (input.wide !== false)
      try {
        const wide = wideCandidate(input);
        if (input.wide === true) return wide;
        candidates.push(wide);
        narrowBecause = "it was slower";
      } catch (error) {
        if (input.wide === true) throw error;
        narrowBecause = error instanceof Error ? error.message : String(error);
      }
    const times = candidates.map((candidate) => {
      input.use(candidate);
      return productTime();
    });
    const best = candidates[times.indexOf(Math.min(...times))]!;
    return best.wide ? best : { ...best, narrowBecause };
  });
}
