/** What layers are written against: a tree of parameters by name. */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Initializer } from "./initializers.ts";
import type { Parameter } from "./parameter.ts";

/** What a layer says of a parameter that it wants. */
export interface ParameterSpec {
  readonly shape: readonly number[];
  /** First values when no checkpoint brings them. @default zeros */
  readonly init?: Initializer;
  /** Gives the values that this one starts with when a swap adds it to existing weights, instead of `init`. */
  readonly from?: () => Tensor;
}

/** The part of a tree of weights that layers are written against. */
export interface ParameterTree {
  /** The path of this part of the tree, "" for the whole. */
  readonly path: string;
  /** Declares a parameter, or finds it where it is declared already (a tie is the same name asked for twice). */
  parameter(name: string, spec: ParameterSpec): Parameter;
  /**
   * A value computed from parameters and kept until one of them changes: transposed layouts, joined biases. Belongs to
   * the weights, so do not dispose it. Not for use while differentiating.
   */
  derived(name: string, parameters: readonly Parameter[], compute: () => Tensor): Tensor;
}

/** A name below a path. */
export const joinPath = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);
