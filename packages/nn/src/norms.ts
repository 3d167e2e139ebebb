import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields, layerNorm as normalise, ones, rmsNorm as normaliseRms } from "@heddle/core";
import type { Weights } from "@heddle/core";

export interface NormSpec {
  readonly width: number;
  /** Added to the variance (layerNorm, 1e-5) or the mean square (rmsNorm, 1e-6). */
  readonly epsilon?: number;
}

/** A norm over its weights: of x, or of x + residual in one pass. */
export type NormLayer = (x: Tensor, options?: { readonly residual?: Tensor }) => Tensor;

/** Layer normalisation over `<name>.weight` and `<name>.bias`: https://arxiv.org/abs/1607.06450. */
export function layerNorm(weights: Weights, name: string, spec: NormSpec): NormLayer {
  checkFields(`${weights.path}: ${name}: options`, spec, ["width", "epsilon"]);
  const { width, epsilon = 1e-5 } = spec;
  const weight = weights.parameter(`${name}.weight`, { shape: [width], init: ones });
  const bias = weights.parameter(`${name}.bias`, { shape: [width] });
  return (x, options) => normalise({ x, weight: weight.tensor(), bias: bias.tensor(), epsilon, ...options });
}

/** Root mean square normalisation over `<name>.weight`: https://arxiv.org/abs/1910.07467. */
export function rmsNorm(weights: Weights, name: string, spec: NormSpec): NormLayer {
  checkFields(`${weights.path}: ${name}: options`, spec, ["width", "epsilon"]);
  const { width, epsilon = 1e-6 } = spec;
  const weight = weights.parameter(`${name}.weight`, { shape: [width], init: ones });
  return (x, options) => normaliseRms({ x, weight: weight.tensor(), epsilon, ...options });
}
