import type { Tensor } from "@tensorflow/tfjs-core";
import { reject } from "./errors.ts";
import type { LazyGradients, Output } from "./tape.ts";

/** What a kernel's forward pass gives. */
export interface KernelResult<R extends Output = Tensor> {
  readonly output: R;
  /** Tensors that the gradient wants besides the inputs (the output among them, if it does). */
  readonly saved?: readonly Tensor[];
}

/** What a kernel is told beside the call. */
export interface ForwardContext {
  /** Whether a gradient will be asked for: what it wants is to be saved. */
  readonly differentiating: boolean;
}

/** What a kernel's gradient may use. */
export interface GradientContext<C> {
  /** The call, its tensors kept alive; those that `needs` does not name tell only their shape and dtype. */
  readonly call: C;
  /** What the forward pass saved, in order. */
  readonly saved: readonly Tensor[];
  /** Gradient of the output, of its shape. */
  readonly dy: Tensor;
}

/**
 * One way to run an operation. Kernels read the call's properties, never a plugin's name.
 * Whatever `forward` and `gradient` allocate and do not return or save is freed for them.
 */
export interface Kernel<C, R extends Output = Tensor> {
  /** Carries its facts: `attention.f32.simd128fma.tile24x64`. Unique within an operation. */
  readonly name: string;
  /** The backend that it runs on; `"any"` for compositions of tfjs operations. */
  readonly backend: string;
  /** Name of the operation that it runs. */
  readonly operation: string;
  /** Why this kernel cannot run a call; empty when it can. */
  unsupported(call: C): readonly string[];
  forward(call: C, context: ForwardContext): KernelResult<R>;
  /** Names of the inputs whose values the gradient reads. @default all */
  readonly needs?: readonly string[];
  /** Gradients by input name, computed when asked (one output only). Absent: the kernel is for inference only. */
  gradient?(context: GradientContext<C>): LazyGradients;
}

/** A kernel of some operation, as lists of kernels hold it. `never` as the call makes every kernel assignable. */
export type AnyKernel = Kernel<never, Output>;

/** Checks that a value is a list of what `kernel` makes; `where` names the option. */
export function checkKernels(where: string, kernels: unknown): asserts kernels is readonly AnyKernel[] {
  if (!Array.isArray(kernels)) reject(where, "be a list of kernels", kernels);
  kernels.forEach((one: Partial<AnyKernel> | null | undefined, at) => {
    const isMade =
      typeof one?.operation === "string" &&
      typeof one.backend === "string" &&
      typeof one.unsupported === "function" &&
      typeof one.forward === "function";
    if (!isMade) reject(`${where}[${at}]`, "be made by kernel(…)", one);
  });
}

const installed = new Map<string, AnyKernel[]>();
/** The lists of single operations: every operation of a pass looks for its own. */
const byOperation = new Map<string, Map<string, readonly AnyKernel[]>>();

/**
 * Makes kernels available to the operations while the backend of that name is active, before those installed earlier.
 * @returns A function that takes them out again.
 */
export function installKernels(backend: string, kernels: readonly AnyKernel[]): () => void {
  const added = kernels.filter((kernel) => kernel.backend === backend || kernel.backend === "any");
  const install = (list: AnyKernel[]): void => {
    installed.set(backend, list);
    byOperation.delete(backend);
  };
  install([...added, ...(installed.get(backend) ?? [])]);
  let present = true;
  return () => {
    if (!present) return;
    present = false;
    const rest = [...(installed.get(backend) ?? [])];
    for (const kernel of added) rest.splice(rest.indexOf(kernel), 1);
    install(rest);
  };
}

/** The kernels of one operation on one backend, in the order in which they are tried. */
export function kernelsFor(operation: string, backend: string): readonly AnyKernel[] {
  const lists = byOperation.get(backend) ?? new Map<string, readonly AnyKernel[]>();
  byOperation.set(backend, lists);
  const known = lists.get(operation);
  if (known) return known;
  const found = (installed.get(backend) ?? []).filter((kernel) => kernel.operation === operation);
  lists.set(operation, found);
  return found;
}
