/** tfjs's own sum, by which its engine adds up the gradients of what is used twice: it binds tensors whole. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import { canBind } from "./parts.ts";
import { add } from "./residual.ts";

const NAME = "Add";

let isDone = false;

/** Has tensors of one shape that the device cannot bind whole added by our own kernel; once, after tfjs's are there. */
export function addInParts(): void {
  if (isDone) return;
  isDone = true;
  const plain = tf.getKernel(NAME, "webgpu");
  tf.unregisterKernel(NAME, "webgpu");
  tf.registerKernel({
    ...plain,
    kernelFunc(given) {
      const { a, b } = given.inputs as { a: Tensor; b: Tensor };
      const areAlike = a.dtype === "float32" && b.dtype === "float32" && String(a.shape) === String(b.shape);
      const isBeyond = areAlike && !canBind(tf.util.sizeFromShape(a.shape), engine().device.limits);
      return isBeyond ? add(a, b) : plain.kernelFunc(given);
    },
  });
}
