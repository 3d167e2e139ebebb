/**
 * The one place that touches the differentiation of tfjs's engine. tfjs-core registers no gradients in Node, its own
 * helpers drop the gradients of captured weights, do not nest, and leak what an abandoned tape saved; here each
 * operation records its own gradient, and `differentiate` cleans up after itself whatever happens.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core";
import { HeddleError, checkShape, reject } from "./errors.ts";
import { checkFloats } from "./operations/tensors.ts";

/** Gradients by input name; each is computed only if something asked for it. */
export type LazyGradients = Readonly<Record<string, () => Tensor>>;

/** What an operation gives: one tensor, or a fixed list of them. */
export type Output = Tensor | Tensor[];

interface TapeNode {
  readonly saved?: readonly Tensor[];
}

/** The part of tfjs's engine used here; some of it is private in its types. */
interface Engine {
  readonly state: { activeTape: TapeNode[] | null; gradientDepth: number; kernelDepth: number };
  runKernelFunc<R extends Output>(kernel: {
    forwardFunc: (backend: unknown, save: (tensors: Tensor[]) => void) => R;
    backwardsFunc: (dy: Tensor, saved: Tensor[]) => LazyGradients;
    inputs: NamedTensorMap;
  }): R;
  gradients(
    f: () => Tensor,
    xs: Tensor[],
    dy: Tensor | undefined,
    allowNoGradients: boolean,
  ): { value: Tensor; grads: (Tensor | undefined)[] };
}

function engine(): Engine {
  // Private members of a release that will not change (4.22).
  const found: unknown = tf.engine();
  return found as Engine;
}

/** Whether a call to `differentiate` is recording now. */
export function isDifferentiating(): boolean {
  const { gradientDepth, kernelDepth } = engine().state;
  return gradientDepth > 0 && kernelDepth === 0;
}

/** Calls to `differentiate` that have not returned. */
let running = 0;

/**
 * Whether a call to `differentiate` is running, recorded now or not: the variables that it was given must stay the
 * tensors that they are, since it knows them by identity.
 */
export function isWithinDifferentiate(): boolean {
  return running > 0;
}

/** One recorded step: what to compute, what it depends on, and how to go back. */
export interface RecordedStep<R extends Output> {
  /** Tensors through which gradients flow, by name. */
  readonly inputs: NamedTensorMap;
  /** Gives the output; `save` keeps what the gradient needs until the tape ends. */
  readonly forward: (save: (tensors: Tensor[]) => void) => R;
  readonly gradient: (dy: Tensor, saved: Tensor[]) => LazyGradients;
}

/** Runs a step and records it if a tape is on. What `forward` allocates and does not return is freed. */
export function record<R extends Output>({ inputs, forward, gradient }: RecordedStep<R>): R {
  return engine().runKernelFunc({
    inputs,
    forwardFunc: (_, save) => forward(save),
    backwardsFunc: (dy, saved) => {
      const thunks = gradient(dy, saved);
      const own: Record<string, () => Tensor> = {};
      for (const [name, thunk] of Object.entries(thunks)) {
        own[name] = () => {
          const dx = thunk();
          // The engine frees a gradient when it adds to it; dy may be in use elsewhere.
          return dx === dy ? tf.clone(dx) : dx;
        };
      }
      return own;
    },
  });
}

/** Runs `f` outside any tape: nothing in it is recorded. */
export function withoutTape<T>(f: () => T): T {
  const { state } = engine();
  const { activeTape, gradientDepth } = state;
  state.activeTape = null;
  state.gradientDepth = 0;
  try {
    return f();
  } finally {
    state.activeTape = activeTape;
    state.gradientDepth = gradientDepth;
  }
}

/** Something that can be differentiated by: a tensor, or a `Parameter`, which holds one. */
export type Variable = Tensor | { readonly name: string; readonly storage: string; tensor(): Tensor };

/** What `differentiate` gives; the caller disposes all of it. */
export interface Differentiated {
  /** The value of `f`. */
  readonly value: Tensor;
  /** One gradient for each variable, in order; `null` where the value does not depend on it. */
  readonly gradients: readonly (Tensor | null)[];
}

/**
 * The value of `f` and its gradients by each variable. `f` is synchronous and returns one tensor; its other tensors
 * are freed. Calls may nest: a gradient may itself differentiate (checkpointing, reversible layers).
 *
 * @param f Uses the variables; only Heddle's operations may lie between them and the result.
 * @param dy Gradient that flows into the value, of its shape. @default ones
 * @throws HeddleError `invalid-argument` for a `dy` of another shape, or when `f` returns no tensor; `unsupported` if a plain tfjs operation without gradient lies on the way; anything that `f` throws.
 */
export function differentiate(f: () => Tensor, variables: readonly Variable[], dy?: Tensor): Differentiated {
  if (variables.length === 0)
    reject("differentiate: variables", "hold at least one tensor or parameter", variables);
  for (const variable of variables)
    if ("storage" in variable && variable.storage !== "f32")
      reject(
        `differentiate: ${variable.name}`,
        "be held as f32 (load it so, or assign float32 values)",
        variable.storage,
      );
  if (dy) checkFloats("differentiate: dy", dy);
  const { state } = engine();
  const xs = variables.map((variable) => ("tensor" in variable ? variable.tensor() : variable));
  const { activeTape, gradientDepth } = state;
  const backend = tf.getBackend();
  let tape: TapeNode[] | null = null;
  state.activeTape = null;
  state.gradientDepth = 0;
  running++;
  try {
    const watched = (): Tensor => {
      tape = state.activeTape;
      const y: unknown = f();
      if (!(y instanceof tf.Tensor)) reject("differentiate: f", "return a tensor, and not later", y);
      if (xs.includes(y))
        reject("differentiate: f", "return the result of an operation", "one of the variables");
      if (tf.getBackend() !== backend)
        reject("differentiate: f", `stay on the backend ${backend}`, tf.getBackend(), "invalid-state");
      if (dy) checkShape("differentiate: dy", dy.shape, y.shape);
      return y;
    };
    // The scope frees the value when the backward pass throws.
    const { value, grads } = tf.tidy(() => engine().gradients(watched, xs, dy, true));
    return { value, gradients: grads.map((gradient) => gradient ?? null) };
  } catch (error) {
    if (
      error instanceof Error &&
      error.message.startsWith("Cannot compute gradient: gradient function not found for")
    )
      throw new HeddleError(
        "unsupported",
        `differentiate: f must use Heddle's operations only between the variables and the value, got the tfjs operation ${error.message.slice(error.message.indexOf(" for ") + 5, -1)}, which has no gradient here`,
        { cause: error },
      );
    throw error;
  } finally {
    running--;
    for (const node of tape ?? []) for (const tensor of (node as TapeNode).saved ?? []) tensor.dispose();
    state.activeTape = activeTape;
    state.gradientDepth = gradientDepth;
  }
}
