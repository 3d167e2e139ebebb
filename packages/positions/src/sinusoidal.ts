import * as tf from "@tensorflow/tfjs-core";
import { checkNumber, checkOneOf, reject, residual } from "@heddle/core";
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

/** The table of sines and cosines for some positions: [positions, width], row-major. */
export function sinusoids(
  positions: Int32Array,
  width: number,
  options: SinusoidalOptions = {},
): Float32Array {
  const { layout = "interleaved", base = 10_000 } = options;
  const half = width / 2;
  const table = new Float32Array(positions.length * width);
  for (let t = 0; t < positions.length; t++)
    for (let i = 0; i < half; i++) {
      const exponent = layout === "interleaved" ? (2 * i) / width : i / Math.max(half - 1, 1);
      const angle = positions[t]! / base ** exponent;
      const row = t * width;
      table[row + (layout === "interleaved" ? 2 * i : i)] = Math.sin(angle);
      table[row + (layout === "interleaved" ? 2 * i + 1 : half + i)] = Math.cos(angle);
    }
  return table;
}

/** Sines and cosines added to the embedding: https://arxiv.org/abs/1706.03762 §3.5. */
export function sinusoidal({ layout = "interleaved", base = 10_000 }: SinusoidalOptions = {}): Position {
  checkOneOf("sinusoidal: layout", layout, ["interleaved", "concatenated"]);
  checkNumber("sinusoidal: base", base, { min: 1 });
  return {
    kind: "position",
    name: "sinusoidal",
    options: { layout, base },
    build(_, { width }) {
      if (width % 2 !== 0) reject("sinusoidal: width", "be even", width);
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
