import * as tf from "@tensorflow/tfjs-core";
import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core";
import { activeBackend, requireBackend } from "./backend.ts";
import { HeddleError, checkFields, reject } from "./errors.ts";
import { kernelsFor } from "./kernel.ts";
import type { Kernel } from "./kernel.ts";
import { isDifferentiating, record } from "./tape.ts";
import type { Output } from "./tape.ts";

/**
 * A computation with one meaning and many kernels. `C` is the call: one object with tensors and plain options.
 * The reference is a composition of tfjs operations that runs on every backend and defines what is right.
 */
export interface Operation<C, R extends Output = Tensor> {
  readonly name: string;
  /** Throws a HeddleError for a call that has no meaning; run once, before any kernel sees the call. */
  validate(call: C): void;
  /** The tensors of a call through which gradients flow, by name. */
  inputs(call: C): NamedTensorMap;
  /** The same call over other tensors. */
  withInputs(call: C, inputs: NamedTensorMap): C;
  readonly reference: Kernel<C, R>;
}

/** What `defineOperation` takes. */
export interface OperationDefinition<C, R extends Output = Tensor> {
  readonly name: string;
  validate(call: C): void;
  /** Fields of the call that hold its differentiable tensors; a field that is not set is left out. */
  readonly tensors: readonly (keyof C & string)[];
  /** For calls whose tensors are not all fields: replaces the default, which reads `tensors`. */
  inputs?(call: C): NamedTensorMap;
  withInputs?(call: C, inputs: NamedTensorMap): C;
  /** The reference composition. */
  readonly forward: Kernel<C, R>["forward"];
  readonly gradient?: NonNullable<Kernel<C>["gradient"]>;
  /** Inputs whose values the reference's gradient reads. @default all */
  readonly needs?: readonly string[];
}

/** Names of the operations that were defined. */
const operationNames = new Set<string>();

/** Defines an operation with its reference, which is named `<name>.reference`. */
export function defineOperation<C extends object, R extends Output = Tensor>(
  definition: OperationDefinition<C, R>,
): Operation<C, R> {
  const { name, tensors, forward, gradient, needs } = definition;
  operationNames.add(name);
  return {
    name,
    validate: (call) => definition.validate(call),
    inputs:
      definition.inputs?.bind(definition) ??
      ((call) => {
        const found: NamedTensorMap = {};
        for (const field of tensors) {
          const value = call[field];
          if (value instanceof tf.Tensor) found[field] = value;
        }
        return found;
      }),
    withInputs: definition.withInputs?.bind(definition) ?? ((call, inputs) => ({ ...call, ...inputs })),
    reference: {
      name: `${name}.reference`,
      backend: "any",
      operation: name,
      unsupported: () => [],
      forward,
      ...(gradient && { gradient }),
      ...(needs && { needs }),
    },
  };
}

/**
 * A kernel for an operation: `kernel(attention, { name, backend, unsupported, forward, gradient })`.
 * @throws HeddleError for a part that is missing or of the wrong type.
 */
export function kernel<C, R extends Output>(
  operation: Operation<C, R>,
  definition: Omit<Kernel<C, R>, "operation">,
): Kernel<C, R> {
  const { name, backend, unsupported, forward, gradient, needs } = definition;
  if (typeof name !== "string" || name === "")
    reject(`kernel of ${operation.name}: name`, "be a non-empty string", name);
  if (typeof backend !== "string" || backend === "")
    reject(`kernel ${name}: backend`, 'be the name of a backend, or "any"', backend);
  for (const [part, value] of Object.entries({ unsupported, forward, ...(gradient && { gradient }) }))
    if (typeof value !== "function") reject(`kernel ${name}: ${part}`, "be a function", value);
  if (needs !== undefined && !Array.isArray(needs))
    reject(`kernel ${name}: needs`, "be a list of inputs", needs);
  return { ...definition, operation: operation.name };
}

/** Why a kernel was passed over. */
export interface Refusal {
  readonly kernel: string;
  readonly reasons: readonly string[];
}

/** What `explain` gives. */
export interface Explanation {
  readonly operation: string;
  readonly backend: string;
  /** Name of the kernel that runs the call. */
  readonly kernel: string;
  /** The kernels tried before it and their reasons. */
  readonly refused: readonly Refusal[];
  /** One line for people. */
  toString(): string;
}

let forced: Readonly<Record<string, string>> = {};

/**
 * Runs `f` with kernels chosen by name: `withKernels({ attention: "attention.reference" }, () => model.forward(…))`.
 * A kernel that cannot run a call throws with its reasons. `f` is synchronous.
 * @throws HeddleError `invalid-argument` for an operation that there is not.
 */
export function withKernels<T>(kernels: Readonly<Record<string, string>>, f: () => T): T {
  checkFields("withKernels: kernels", kernels, [...operationNames]);
  const before = forced;
  forced = { ...before, ...kernels };
  try {
    return f();
  } finally {
    forced = before;
  }
}

/** Reasons of one kernel for one call, those of every kernel included. */
function reasonsAgainst<C, R extends Output>(candidate: Kernel<C, R>, call: C): readonly string[] {
  const reasons = candidate.unsupported(call);
  return isDifferentiating() && !candidate.gradient
    ? [...reasons, "has no gradient, and one is asked for"]
    : reasons;
}

function choose<C, R extends Output>(
  operation: Operation<C, R>,
  call: C,
): { kernel: Kernel<C, R>; refused: Refusal[] } {
  // The lists hold kernels of many operations; the name has selected those of this one.
  const own = kernelsFor(operation.name, tf.getBackend()) as readonly Kernel<C, R>[];
  const name = forced[operation.name];
  if (name !== undefined) {
    const candidates = [...own, operation.reference];
    const found = candidates.find((candidate) => candidate.name === name);
    if (!found)
      throw new HeddleError(
        "unsupported",
        `${operation.name}: kernel must be one of ${candidates.map((c) => c.name).join(", ")} on ${tf.getBackend()}, got "${name}"`,
      );
    const reasons = reasonsAgainst(found, call);
    if (reasons.length > 0)
      throw new HeddleError(
        "unsupported",
        `${operation.name}: kernel ${name} cannot run this call: ${reasons.join("; ")}`,
      );
    return { kernel: found, refused: [] };
  }
  const refused: Refusal[] = [];
  for (let i = 0; i <= own.length; i++) {
    const candidate = own[i] ?? operation.reference;
    const reasons = reasonsAgainst(candidate, call);
    if (reasons.length === 0) return { kernel: candidate, refused };
    refused.push({ kernel: candidate.name, reasons });
  }
  const why = refused.map(({ kernel, reasons }) => `${kernel}: ${reasons.join("; ")}`).join(". ");
  throw new HeddleError(
    "unsupported",
    `${operation.name}: no kernel on ${tf.getBackend()} can run this call. ${why}`,
  );
}

/**
 * Runs an operation by the first kernel of the active backend that supports the call, the reference last.
 * @throws HeddleError `invalid-argument` for a call without meaning, `unsupported` when no kernel runs it,
 * `invalid-state` when no backend runs.
 */
export function run<C, R extends Output>(operation: Operation<C, R>, call: C): R {
  requireBackend(operation.name);
  activeBackend()?.checkErrors();
  operation.validate(call);
  const { kernel: chosen, refused } = choose(operation, call);
  listener?.(explanation(operation.name, chosen.name, refused));
  const inputs = operation.inputs(call);
  const onTape = isDifferentiating();
  const needed = Object.keys(inputs).filter((name) => chosen.needs?.includes(name) ?? true);
  return record({
    inputs,
    forward: (save) => {
      const { output, saved = [] } = chosen.forward(call, { differentiating: onTape });
      save([...needed.map((name) => inputs[name]!), ...saved]);
      // On a tape an output that is an input would get its gradient twice.
      if (onTape && output instanceof tf.Tensor && Object.values(inputs).includes(output))
        return tf.clone(output) as R;
      return output;
    },
    gradient: (dy, all) => {
      const kept: NamedTensorMap = { ...inputs };
      needed.forEach((name, i) => (kept[name] = all[i]!));
      return chosen.gradient!({
        call: operation.withInputs(call, kept),
        saved: all.slice(needed.length),
        dy,
      });
    },
  });
}

function explanation(operation: string, name: string, refused: readonly Refusal[]): Explanation {
  const backend = tf.getBackend();
  const why = refused.map((refusal) => `, not ${refusal.kernel} (${refusal.reasons.join("; ")})`).join("");
  return {
    operation,
    backend,
    kernel: name,
    refused,
    toString: () => `${operation} on ${backend}: ${name}${why}`,
  };
}

/**
 * Which kernel runs a call now, and why each one before it does not.
 * @throws HeddleError As `run` does.
 */
export function explain<C, R extends Output>(operation: Operation<C, R>, call: C): Explanation {
  operation.validate(call);
  const { kernel: chosen, refused } = choose(operation, call);
  return explanation(operation.name, chosen.name, refused);
}

let listener: ((explanation: Explanation) => void) | undefined;

/** What `explainRun` gives. */
export interface RunExplanation<T> {
  /** What the function gave. */
  readonly value: T;
  /** Each choice that was made, in the order of its first call, with the number of such calls. */
  readonly choices: readonly { readonly explanation: Explanation; readonly calls: number }[];
  /** One line a choice, for people. */
  toString(): string;
}

/**
 * Runs a function, a model's forward pass for example, and tells which kernel ran each operation in it, and why others
 * did not. The function is synchronous.
 */
export function explainRun<T>(f: () => T): RunExplanation<T> {
  const found = new Map<string, { explanation: Explanation; calls: number }>();
  const before = listener;
  listener = (made) => {
    before?.(made);
    const key = String(made);
    const known = found.get(key);
    if (known) known.calls++;
    else found.set(key, { explanation: made, calls: 1 });
  };
  try {
    const value = f();
    const choices = [...found.values()];
    return {
      value,
      choices,
      toString: () => choices.map(({ explanation: made, calls }) => `${calls} x ${made}`).join("\n"),
    };
  } finally {
    listener = before;
  }
}
