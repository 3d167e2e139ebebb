import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, checkFields, checkInteger, checkOneOf, reject, show } from "./errors.ts";
import { normal, zeros } from "./initializers.ts";
import type { Initializer } from "./initializers.ts";
import { activeBackend } from "./backend.ts";
import { dropout } from "./operations/dropout.ts";
import type { DropoutCall } from "./operations/dropout.ts";
import { linear } from "./operations/linear.ts";
import type { LinearCall } from "./operations/linear.ts";
import type { Activation } from "./operations/activation.ts";
import { residual as add } from "./operations/residual.ts";
import type { MatrixLayout, PackedMatrix, Packing } from "./packing.ts";
import { cellOf, createParameter, packTogether } from "./parameter.ts";
import type { Parameter } from "./parameter.ts";
import { randomStream } from "./random.ts";
import { addHolder, removeHolder } from "./recovery.ts";
import type { ValueHolder } from "./recovery.ts";
import { isDifferentiating, isWithinDifferentiate, withoutTape } from "./tape.ts";

/** What a layer says of a parameter that it wants. */
export interface ParameterSpec {
  readonly shape: readonly number[];
  /** First values when no checkpoint brings them. @default zeros */
  readonly init?: Initializer;
  /** Gives the values that this one starts with when a swap adds it to existing weights, instead of `init`. */
  readonly from?: () => Tensor;
}

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

/**
 * A tree of parameters under their Hugging Face names. A model is a function of its config and such a tree: it asks
 * for what it needs, and asking is what initialises, checks, counts, loads and exports.
 */
export interface Weights {
  /** The path of this part of the tree, "" for the whole. */
  readonly path: string;
  /** The part of the tree below a name: `weights.at("h.0")`. */
  at(name: string): Weights;
  /** Declares a parameter, or finds it where it is declared already (a tie is the same name asked for twice). */
  parameter(name: string, spec: ParameterSpec): Parameter;
  /** Declares `<name>.weight` and `<name>.bias` and gives the layer. */
  linear(name: string, spec: LinearSpec): LinearLayer;
  /**
   * Declares linear layers of one input, each as `linear` does, and gives the parts of x W + b that are theirs. Where
   * the backend packs weights, that is one product.
   */
  linears(names: readonly string[], spec: LinearsSpec): (x: Tensor) => readonly TensorPart[];
  /**
   * A value computed from parameters and kept until one of them changes: transposed layouts, joined biases. Belongs to
   * the weights, so do not dispose it. Not for use while differentiating.
   */
  derived(name: string, parameters: readonly Parameter[], compute: () => Tensor): Tensor;
  /** Whether a parameter of that name is in the tree, declared or loaded. */
  has(name: string): boolean;
}

/** The root of a tree, or an overlay over one. */
export interface WeightTree extends Weights {
  /** Seed of the first values. */
  readonly seed: number;
  /** Parameters declared by the model that was defined over this tree (over this overlay), in order of declaration. */
  readonly declared: ReadonlyMap<string, Parameter>;
  /** Every parameter held here and below, by name: what `save` writes. */
  readonly all: ReadonlyMap<string, Parameter>;
  /** Names that this overlay had to add to the tree below it, in order. Empty for a root. */
  readonly added: readonly string[];
  /** The parameter of that name, held here or below. */
  find(name: string): Parameter | undefined;
  /**
   * Brings the filled weights of linear layers into the layout of the active backend, once. Each layer would do so when
   * it is first called, but between the tensors of the pass, which leaves holes in the memory.
   */
  pack(): void;
  /**
   * Tells how the present values of the parameters held here can be assigned again, some by name: `backend.recover()`
   * does so after the device was lost. Values that change after this call are not brought back.
   */
  setSource(assignAgain: (names: ReadonlySet<string>) => Promise<void>): void;
  /** A tree over this one: shares its parameters, keeps its own additions. */
  overlay(): WeightTree;
  /** Frees the parameters and derived values held here; the tree below an overlay stays. */
  dispose(): void;
}

/** Where a tree's first values come from. */
export interface WeightsOptions {
  /** Non-negative integer; the same seed gives the same values whatever the order of declaration. @default 0 */
  readonly seed?: number;
}

/** Weights of linear layers that are packed together. */
interface Packable {
  readonly matrices: readonly Parameter[];
  readonly layout: MatrixLayout;
}

interface Derived {
  readonly key: string;
  readonly value: Tensor;
}

const join = (path: string, name: string): string => (path === "" ? name : `${path}.${name}`);

function fill(name: string, { shape, init = zeros }: ParameterSpec, seed: number): Float32Array {
  const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
  init(values, shape, randomStream({ seed, path: name }));
  return values;
}

function checkSpec(name: string, spec: ParameterSpec): void {
  checkFields(`${name}: options`, spec, ["shape", "init", "from"]);
  spec.shape.forEach((length, axis) => checkInteger(`${name}: shape[${axis}]`, length, { min: 1 }));
}

function createTree(seed: number, below: WeightTree | null): WeightTree {
  const own = new Map<string, Parameter>();
  const declared = new Map<string, Parameter>();
  const derivedValues = new Map<string, Derived>();
  const added: string[] = [];
  /** By the name of each weight; what was declared last holds. */
  const packable = new Map<string, Packable>();
  let packedFor: Packing | undefined;
  /** How to assign values again, and the versions that these values have. */
  let source:
    { assignAgain(names: ReadonlySet<string>): Promise<void>; versions: Map<Parameter, number> } | undefined;

  const find = (name: string): Parameter | undefined => own.get(name) ?? below?.find(name);

  const declare = (path: string, name: string, spec: ParameterSpec): Parameter => {
    const full = join(path, name);
    checkSpec(full, spec);
    const existing = find(full);
    if (existing) {
      if (existing.shape.join() !== spec.shape.join())
        reject(`${full}: shape`, `be ${show(existing.shape)}, as declared before`, spec.shape);
      declared.set(full, existing);
      return existing;
    }
    const source = below ? spec.from : undefined;
    const created = createParameter(full, [...spec.shape], () =>
      source ? withoutTape(() => tf.tidy(() => tf.clone(source()))) : fill(full, spec, seed),
    );
    own.set(full, created);
    declared.set(full, created);
    if (below) added.push(full);
    return created;
  };

  const derive = (full: string, parameters: readonly Parameter[], compute: () => Tensor): Tensor => {
    // A value of parameters that are all below belongs there, so that every swap shares it.
    if (below && parameters.every((parameter) => below.find(parameter.name) === parameter))
      return below.derived(full, parameters, compute);
    if (isDifferentiating())
      throw new HeddleError(
        "invalid-state",
        `${full}: a derived value must not be read while differentiating, since no gradient flows through it`,
      );
    const key = parameters.map(({ name, version }) => `${name}@${version}`).join();
    const cached = derivedValues.get(full);
    if (cached?.key === key && !cached.value.isDisposed) return cached.value;
    cached?.value.dispose();
    const value = tf.keep(withoutTape(() => tf.tidy(compute)));
    derivedValues.set(full, { key, value });
    return value;
  };

  const view = (path: string): Weights => ({
    path,
    at: (name) => view(join(path, name)),
    parameter: (name, spec) => declare(path, name, spec),
    linear: (name, spec) => linearLayer(view(path), packable, name, spec),
    linears: (names, spec) => linearLayers(view(path), packable, names, spec),
    derived: (name, parameters, compute) => derive(join(path, name), parameters, compute),
    has: (name) => find(join(path, name)) !== undefined,
  });

  const holder: ValueHolder = {
    lose(isGone) {
      for (const parameter of own.values()) cellOf(parameter).lose(isGone);
      for (const [name, { value }] of derivedValues)
        if (isGone(value)) {
          value.dispose();
          derivedValues.delete(name);
        }
      packedFor = undefined;
    },
    async restore() {
      const wanted = [...own.values()].filter(
        (parameter) => cellOf(parameter).lost && source?.versions.get(parameter) === parameter.version,
      );
      if (!source || wanted.length === 0) return;
      const { assignAgain, versions } = source;
      try {
        await assignAgain(new Set(wanted.map(({ name }) => name)));
      } finally {
        for (const parameter of wanted)
          if (!cellOf(parameter).lost) versions.set(parameter, parameter.version);
      }
    },
  };
  addHolder(holder);

  const tree: WeightTree = {
    ...view(""),
    seed,
    declared,
    added,
    get all() {
      return below ? new Map([...below.all, ...own]) : own;
    },
    find,
    pack() {
      const packing = activeBackend()?.packing;
      if (!packing || packing === packedFor || isWithinDifferentiate()) return;
      for (const group of packable.values())
        if (group.matrices.every(({ filled }) => filled)) packedOf(group);
      packedFor = packing;
    },
    setSource(assignAgain) {
      const versions = new Map([...own.values()].map((parameter) => [parameter, parameter.version]));
      source = { assignAgain, versions };
    },
    overlay: () => createTree(seed, tree),
    dispose() {
      removeHolder(holder);
      source = undefined;
      for (const parameter of own.values()) parameter.dispose();
      for (const { value } of derivedValues.values()) value.dispose();
      derivedValues.clear();
    },
  };
  return tree;
}

function linearLayer(
  weights: Weights,
  packable: Map<string, Packable>,
  name: string,
  spec: LinearSpec,
): LinearLayer {
  const full = join(weights.path, name);
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
 * Weights in the layout that the active backend's kernels read best, where they may be held in it: float32 without a
 * gradient to come. Packing frees the plain tensor, which `differentiate` may watch even where its tape is paused
 * (`withoutTape`).
 */
function packedOf({ matrices, layout }: Packable): PackedMatrix | undefined {
  const packing = activeBackend()?.packing;
  if (!packing || isWithinDifferentiate()) return undefined;
  if (matrices.some(({ storage, plain }) => storage !== "f32" || plain)) return undefined;
  return packTogether(matrices, packing, layout);
}

function linearLayers(
  weights: Weights,
  packable: Map<string, Packable>,
  names: readonly string[],
  spec: LinearsSpec,
): (x: Tensor) => readonly TensorPart[] {
  const full = join(weights.path, names.join("+"));
  checkFields(`${full}: options`, spec, ["in", "out"]);
  const { in: width, out } = spec;
  if (!Array.isArray(out) || out.length !== names.length || names.length === 0)
    reject(`${full}: out`, "hold a width for each layer", out);
  const layers = names.map((name, i) => weights.linear(name, { in: width, out: out[i]! }));
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

/** An empty tree: models that are defined over it declare its parameters, and their first values come from the seed. */
export function createWeights(options: WeightsOptions = {}): WeightTree {
  checkFields("createWeights: options", options, ["seed"]);
  const { seed = 0 } = options;
  checkInteger("createWeights: seed", seed, { min: 0 });
  return createTree(seed, null);
}
