import type { Tensor } from "@tensorflow/tfjs-core";
import { RecentlyUsed } from "../recently-used.ts";

/** What turns by which angles. Shapes: B batch, H heads, L length, D head width. */
export interface RotaryAngles {
  /** [B, H, L, D] */
  readonly x: Tensor;
  /** Position of each of the L tokens, or of each token of each row (B x L). */
  readonly positions: Int32Array;
  /** Wavelengths grow from 2 pi to about 2 pi times this. @default 10000 */
  readonly base?: number;
  /** How many of the D values are turned, the first ones; even. @default D */
  readonly width?: number;
}

interface AngleTable {
  readonly positions: Int32Array;
  readonly base: number;
  readonly width: number;
  readonly values: Float32Array;
}

/** A few, since all layers of a model turn by the same angles, and back by them. */
const kept = new RecentlyUsed<AngleTable>(4);

/** Angles in double precision: those of far tokens have more digits than a float holds. */
function makeTable(positions: Int32Array, base: number, width: number): AngleTable {
  const half = width / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => base ** ((-2 * i) / width));
  const values = new Float32Array(positions.length * width);
  for (const [token, position] of positions.entries())
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      values[token * width + i] = Math.cos(angle);
      values[token * width + half + i] = Math.sin(angle);
    }
  return { positions, base, width, values };
}

/**
 * Cosines and sines of a call's angles, [tokens, 2, width / 2]: the same array for the same angles as long as they are
 * asked for, and not to be written to.
 */
export function rotaryAngles({
  x,
  positions,
  base = 10_000,
  width = x.shape[3]!,
}: RotaryAngles): Float32Array {
  const fits = (table: AngleTable): boolean =>
    table.base === base &&
    table.width === width &&
    table.positions.length === positions.length &&
    table.positions.every((position, i) => position === positions[i]);
  return kept.get(fits, () => makeTable(positions.slice(), base, width)).values;
}
