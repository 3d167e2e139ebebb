/** Linear layers over a tree's parameters, in the layout that the backend's kernels read best. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activeBackend } from "./backend.ts";
import { checkFields, checkOneOf, reject } from "./errors.ts";
import { normal } from "./initializers.ts";
import type { Initializer } from "./initializers.ts";
import type { Activation } from "./operations/activation.ts";
import { dropout } from "./operations/dropout.ts";
import type { DropoutCall } from "./operations/dropout.ts";
import { linear } from "./operations/linear.ts";
import type { LinearCall } from "./operations/linear.ts";
import { residual as add } from "./operations/residual.ts";
import type { MatrixLayout, PackedMatrix } from "./packing.ts";
import { halvesTogether, packTogether } from "./packed-parameters.ts";
import type { Parameter } from "./parameter.ts";
import { joinPath } from "./parameter-tree.ts";
import type { ParameterTree } from "./parameter-tree.ts";
import { isWithinDifferentiate } from "./tape.ts";

/** Options of `weights.linear`. */
export interface LinearSpec {
  /** Width of the input. */
  readonly in: number;
  /** Width of the output. */
  readonly out: number;
  /** @default true */
  readonly bias?: boolean;
  /** How the weight is stored: `linear` is [out, in] as torch.nn.Linear, `conv1d` [in, out] as GPT-2. @default "linear" */
  readonly layout?: MatrixLayout;
  /** First values of the weight; the bias starts at 0. @default normal(0.02) */
  readonly init?: Initializer;
  /** Gives the weight, as [out, in], and the bias that this one starts with when a swap adds it to existing weights. */
  readonly from?: { readonly weight: () => Tensor; readonly bias: () => Tensor };
}

/** What may follow a linear layer's product, in this order. */
export interface LinearOptions {
  readonly activation?: Activation;
  /** @default nothing is dropped */
  readonly dropout?: Omit<DropoutCall, "x">;
  /** Added last, of the shape of the result. @default nothing */
  readonly residual?: Tensor;
}

/**
 * A linear layer over its weights: y = dropout(activation(x W + b)) + residual on the last dimension. One operation
 * where nothing is dropped.
 */
export type LinearLayer = (x: Tensor, options?: LinearOptions) => Tensor;

/** Options of `weights.linears`. */
export interface LinearsSpec {
  /** Width of the input. */
  readonly in: number;
  /** Width of each output. */
  readonly out: readonly number[];
}

/** A part of a tensor's last dimension. */
export interface TensorPart {
  readonly x: Tensor;
  /** Where the part begins; its width is known otherwise. */
  readonly begin: number;
}

/** Weights of linear layers that are packed together. */
export interface Packable {
  readonly matrices: readonly Parameter[];
  readonly layout: MatrixLayout;
}

/** Declares a layer. `packable` is told what may be packed together. */
export function linearLayer(
  weights: ParameterTree,
  packable: Map<string, Packable>,
  name: string,
  spec: LinearSpec,
): LinearLayer {
  const full = joinPath(weights.path, name);
  checkFields(`${full}: options`, spec, ["in", "out", "bias", "layout", "init", "from"]);
  const { in: width, out, bias = true, layout = "linear", init = normal(0.02), from } = spec;
  checkOneOf(`${full}: layout`, layout, ["linear", "conv1d"]);
  const weight = weights.parameter(`${name}.weight`, {
    shape: layout === "linear" ? [out, width] : [width, out],
    init,
    ...(from && { from: layout === "linear" ? from.weight : () => tf.transpose(from.weight()) }),
  });
  const b = bias
    ? weights.parameter(`${name}.bias`, { shape: [out], ...(from && { from: from.bias }) })
    : null;
  const alone: Packable = { matrices: [weight], layout };
  packable.set(weight.name, alone);
  const stored = (): Pick<LinearCall, "weight" | "layout"> => {
    const packed = packedOf(alone);
    if (packed) return { weight: packed };
    if (
      layout === "conv1d" ||
      isWithinDifferentiate() ||
      weight.storage !== "f32" ||
      activeBackend()?.packing
    )
      return { weight: weight.tensor(), layout };
    const transposed = (): Tensor => tf.transpose(weight.tensor());
    return { weight: weights.derived(`${name}.weight.transposed`, [weight], transposed), layout: "conv1d" };
  };
  return (x, { activation, dropout: dropped, residual } = {}) => {
    const call = { x, ...stored(), ...(b && { bias: b.tensor() }), ...(activation && { activation }) };
    if (!dropped || dropped.rate === 0) return linear({ ...call, ...(residual && { residual }) });
    const y = dropout({ x: linear(call), ...dropped });
    return residual ? add(residual, y) : y;
  };
}

/**
 * Weights in the form that the active backend's kernels read best, if there is one and no gradient is to come: 16-bit
 * ones in pairs, float32 ones packed. Packing frees the plain tensor, which `differentiate` may watch even where its tape
 * is paused (`withoutTape`).
 */
export function packedOf({ matrices, layout }: Packable): PackedMatrix | undefined {
  if (isWithinDifferentiate()) return undefined;
  const halves = halvesTogether(matrices, layout);
  if (halves) return halves;
  const packing = activeBackend()?.packing;
  if (!packing) return undefined;
  if (matrices.some(({ storage, plain }) => storage !== "f32" || plain)) return undefined;
  return packTogether(matrices, packing, layout);
}

/** Declares layers of one input, and gives their parts of one product where the backend packs weights. */
export function linearLayers(
  weights: ParameterTree,
  packable: Map<string, Packable>,
  names: readonly string[],
  spec: LinearsSpec,
): (x: Tensor) => readonly TensorPart[] {
  const full = joinPath(weights.path, names.join("+"));
  checkFields(`${full}: options`, spec, ["in", "out"]);
  const { in: width, out } = spec;
  if (!Array.isArray(out) || out.length !== names.length || names.length === 0)
    reject(`${full}: out`, "hold a width for each layer", out);
  const layers = names.map((name, i) => linearLayer(weights, packable, name, { in: width, out: out[i]! }));
  const matrices = names.map((name, i) => weights.parameter(`${name}.weight`, { shape: [out[i]!, width] }));
  const biases = names.map((name, i) => weights.parameter(`${name}.bias`, { shape: [out[i]!] }));
  const together: Packable = { matrices, layout: "linear" };
  for (const matrix of matrices) packable.set(matrix.name, together);
  const begins = out.map((_, i) => out.slice(0, i).reduce((sum, length) => sum + length, 0));
  const joined = (): Tensor => tf.concat(biases.map((bias) => bias.tensor()));
  return (x) => {
    const weight = packedOf(together);
    if (!weight) return layers.map((layer) => ({ x: layer(x), begin: 0 }));
    const y = linear({ x, weight, bias: weights.derived(`${names.join("+")}.bias`, biases, joined) });
    return begins.map((begin) => ({ x: y, begin }));
  };
}
