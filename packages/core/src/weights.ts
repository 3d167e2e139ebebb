import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activeBackend } from "./backend.ts";
import { HeddleError, checkFields, checkInteger, reject, show } from "./errors.ts";
import { zeros } from "./initializers.ts";
import { linearLayer, linearLayers, packedOf } from "./linear-layers.ts";
import type { LinearLayer, LinearSpec, LinearsSpec, Packable, TensorPart } from "./linear-layers.ts";
import type { Packing } from "./packing.ts";
import { cellOf, createParameter } from "./parameter.ts";
import type { Parameter } from "./parameter.ts";
import { joinPath } from "./parameter-tree.ts";
import type { ParameterSpec, ParameterTree } from "./parameter-tree.ts";
import { randomStream } from "./random.ts";
import { addHolder, removeHolder } from "./recovery.ts";
import type { ValueHolder } from "./recovery.ts";
import { isDifferentiating, isWithinDifferentiate, withoutTape } from "./tape.ts";

/**
 * A tree of parameters under their Hugging Face names. A model is a function of its config and such a tree: it asks
 * for what it needs, and asking is what initialises, checks, counts, loads and exports.
 */
export interface Weights extends ParameterTree {
  /** The part of the tree below a name: `weights.at("h.0")`. */
  at(name: string): Weights;
  /** Declares `<name>.weight` and `<name>.bias` and gives the layer. */
  linear(name: string, spec: LinearSpec): LinearLayer;
  /**
   * Declares linear layers of one input, each as `linear` does, and gives the parts of x W + b that are theirs. Where
   * the backend packs weights, that is one product.
   */
  linears(names: readonly string[], spec: LinearsSpec): (x: Tensor) => readonly TensorPart[];
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

interface Derived {
  readonly key: string;
  readonly value: Tensor;
}

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
    const full = joinPath(path, name);
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
    at: (name) => view(joinPath(path, name)),
    parameter: (name, spec) => declare(path, name, spec),
    linear: (name, spec) => linearLayer(view(path), packable, name, spec),
    linears: (names, spec) => linearLayers(view(path), packable, names, spec),
    derived: (name, parameters, compute) => derive(joinPath(path, name), parameters, compute),
    has: (name) => find(joinPath(path, name)) !== undefined,
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

/** An empty tree: models that are defined over it declare its parameters, and their first values come from the seed. */
export function createWeights(options: WeightsOptions = {}): WeightTree {
  checkFields("createWeights: options", options, ["seed"]);
  const { seed = 0 } = options;
  checkInteger("createWeights: seed", seed, { min: 0 });
  return createTree(seed, null);
}
