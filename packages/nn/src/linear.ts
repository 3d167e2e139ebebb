import type { LinearLayer, LinearSpec, Weights } from "@heddle/core";

/** `weights.linear(name, spec)`: y = activation(x W + b) over `<name>.weight` and `<name>.bias`. */
export function linear(weights: Weights, name: string, spec: LinearSpec): LinearLayer {
  return weights.linear(name, spec);
}
