import * as tf from "@tensorflow/tfjs-core";
import { checkFields, checkNumber, checkOneOf, residual } from "@heddle/core";
import type { Position } from "./position.ts";

export interface SinusoidalOptions {
  /**
   * `interleaved`: sin and cos of a wavelength side by side, as the paper says; `concatenated`: all sines, then all
   * cosines, with wavelengths spread over one step less, as tensor2tensor, the paper's code, does. @default "interleaved"
   */
  readonly layout?: "interleaved" | "concatenated";
  /** The longest wavelength is about 2 pi times this. @default 10000 */
  readonly base?: number;
}

/**
 * The table of sines and cosines for some positions: [positions, width], row-major. An odd width ends in a sine
 * (interleaved) or in zeros (concatenated).
 */
export function sinusoids(
  positions: Int32Array,
  width: number,
  options: SinusoidalOptions = {},
): Float32Array {
  checkFields("sinusoids: options", options, ["layout", "base"]);
  const { layout = "interleaved", base = 10_000 } = options;
  const pairs = Math.floor(width / 2);
  const table = new Float32Array(positions.length * width);
  for (let t = 0; t < positions.length; t++) {
    const row = table.subarray(t * width, (t + 1) * width);
    const angle = (exponent: number): number => positions[t]! / base ** exponent;
    if (layout === "interleaved")
      for (let i = 0; i < width; i++) {
        const turn = angle((i - (i % 2)) / width);
        row[i] = i % 2 === 0 ? Math.sin(turn) : Math.cos(turn);
      }
    else
      for (let i = 0; i < pairs; i++) {
        const turn = angle(i / Math.max(pairs - 1, 1));
        row[i] = Math.sin(turn);
        row[pairs + i] = Math.cos(turn);
      }
  }
  return table;
}

/** Sines and cosines added to the embedding: https://arxiv.org/abs/1706.03762 §3.5. */
export function sinusoidal(options: SinusoidalOptions = {}): Position {
  checkFields("sinusoidal: options", options, ["layout", "base"]);
  const { layout = "interleaved", base = 10_000 } = options;
  checkOneOf("sinusoidal: layout", layout, ["interleaved", "concatenated"]);
  checkNumber("sinusoidal: base", base, { min: 1 });
  return {
    kind: "position",
    name: "sinusoidal",
    options: { layout, base },
    build(_, { width }) {
      return {
        onEmbedding(x, positions) {
          const [, length] = x.shape as [number, number, number];
          const table = sinusoids(positions, width, { layout, base });
          return residual(x, tf.tensor3d(table, [positions.length / length, length, width]));
        },
      };
    },
  };
}
