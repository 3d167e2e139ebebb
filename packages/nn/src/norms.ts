import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields, layerNorm as normalise, ones, rmsNorm as normaliseRms } from "@heddle/core";
import type { Weights } from "@heddle/core";

export interface NormSpec {
  readonly width: number;
  /** Added to the variance (layerNorm, 1e-5) or the mean square (rmsNorm, 1e-6). */
  readonly epsilon?: number;
}

/** Layer normalisation over `<name>.weight` and `<name>.bias`: https://arxiv.org/abs/1607.06450. */
export function layerNorm(weights: Weights, name: string, spec: NormSpec): (x: Tensor) => Tensor {
  checkFields(`${weights.path}: ${name}: options`, spec, ["width", "epsilon"]);
  const { width, epsilon = 1e-5 } = spec;
  const weight = weights.parameter(`${name}.weight`, { shape: [width], init: ones });
  const bias = weights.parameter(`${name}.bias`, { shape: [width] });
  return (x) => normalise({ x, weight: weight.tensor(), bias: bias.tensor(), epsilon });
}

/** Root mean square normalisation over `<name>.weight`: https://arxiv.org/abs/1910.07467. */
export function rmsNorm(weights: Weights, name: string, spec: NormSpec): (x: Tensor) => Tensor {
  checkFields(`${weights.path}: ${name}: options`, spec, ["width", "epsilon"]);
  const { width, epsilon = 1e-6 } = spec;
  const weight = weights.parameter(`${name}.weight`, { shape: [width], init: ones });
  return (x) => normaliseRms({ x, weight: weight.tensor(), epsilon });
}
