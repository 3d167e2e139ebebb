import { dropoutOperation, kernel, randomStream } from "@heddle/core";
import type { DropoutCall, Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** x where the stream's numbers are not below the rate, scaled; 0 elsewhere. */
function drop(x: Tensor, { rate, address: place }: DropoutCall): Tensor {
  const { address, output, run } = machine();
  const y = output(x.shape);
  const { key } = randomStream(place);
  // A number is the upper 24 bits of a word over 2^24, so the comparison is one of integers.
  const limit = Math.ceil(rate * 2 ** 24);
  run("dropout", [address(x), address(y), x.size, ...key, limit, float(1 / (1 - rate))]);
  return y;
}

/** Draws the numbers where they are used, and again in the gradient: no mask is kept. */
export const dropoutWasm: Kernel<DropoutCall> = kernel(dropoutOperation, {
  name: "dropout.f32.wasm",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: drop(call.x, call) }),
  gradient: ({ call, dy }) => ({ x: () => drop(dy, call) }),
});
