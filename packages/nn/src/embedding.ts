import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields, embedding as lookUp, normal, tableOf } from "@heddle/core";
import type { Initializer, Weights } from "@heddle/core";

export interface EmbeddingSpec {
  /** Number of rows. */
  readonly size: number;
  readonly width: number;
  /** @default normal(0.02) */
  readonly init?: Initializer;
}

/** Rows of `<name>.weight` [size, width] by int32 ids of any shape: [..., width]. */
export function embedding(weights: Weights, name: string, spec: EmbeddingSpec): (ids: Tensor) => Tensor {
  checkFields(`${weights.path}: ${name}: options`, spec, ["size", "width", "init"]);
  const { size, width, init = normal(0.02) } = spec;
  const table = weights.parameter(`${name}.weight`, { shape: [size, width], init });
  table.plain = true;
  return (ids) => lookUp(tableOf(table), ids);
}
