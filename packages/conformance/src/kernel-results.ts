import { differentiate, randomStream, run, withKernels } from "@heddle/core";
import type { Kernel, Operation, Output } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";

/** What a kernel made of a call, as plain numbers. */
export interface KernelResults {
  /** Where gradients are asked for, the last one is what it makes while they are recorded. */
  readonly outputs: readonly ArrayLike<number>[];
  readonly shapes: readonly (readonly number[])[];
  /** By every input, of a drawn cotangent. */
  readonly gradients: readonly ArrayLike<number>[];
}

const listOf = (output: Output): Tensor[] => (Array.isArray(output) ? output : [output]);
const read = (tensors: readonly Tensor[]): Promise<ArrayLike<number>[]> =>
  Promise.all(tensors.map(async (tensor) => await tensor.data()));

/** Outputs of one kernel, and its gradients where it has them and they are asked for. `make` makes the call anew. */
export async function kernelResults<C, R extends Output>(
  operation: Operation<C, R>,
  { name, gradient }: Kernel<C, R>,
  make: () => C,
  withGradient: boolean,
): Promise<KernelResults> {
  const force = <T>(f: () => T): T => withKernels({ [operation.name]: name }, f);
  const outputs = tf.tidy(() => listOf(force(() => run(operation, make()))));
  const found = { outputs: await read(outputs), shapes: outputs.map(({ shape }) => shape) };
  tf.dispose(outputs);
  if (!withGradient || !gradient) return { ...found, gradients: [] };
  const recorded = tf.tidy(() => {
    const call = make();
    const dy = tf.tensor(
      randomStream({ seed: 5 }).normals(found.outputs[0]!.length),
      found.shapes[0]! as [number],
    );
    const inputs = Object.values(operation.inputs(call));
    const result = differentiate(() => force(() => run(operation, call) as Tensor), inputs, dy);
    return [result.value, ...result.gradients.map((slope, i) => slope ?? tf.zerosLike(inputs[i]!))];
  });
  const [value, ...gradients] = await read(recorded);
  tf.dispose(recorded);
  return { ...found, outputs: [...found.outputs, value!], gradients };
}
