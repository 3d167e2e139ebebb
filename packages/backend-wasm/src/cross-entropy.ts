import { crossEntropyOperation, crossEntropyWeight, kernel } from "@heddle/core";
import type { CrossEntropyCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** A label that no class has, for rows that do not count. */
const IGNORED = -1;

/** The labels in the heap. */
function placeLabels({ labels, ignoreIndex = -100 }: CrossEntropyCall): Tensor {
  return tf.tensor1d(
    labels.map((label) => (label === ignoreIndex ? IGNORED : label)),
    "int32",
  );
}

/** The loss of all rows: their logarithms are taken here, in double precision. */
function lossOf(
  call: CrossEntropyCall,
  numbersOf: (tensor: Tensor) => Float32Array,
  statistics: Tensor,
  means: Tensor | undefined,
): number {
  const { logits, labels, ignoreIndex = -100, labelSmoothing = 0 } = call;
  const classes = logits.shape.at(-1)!;
  const [x, perRow] = [numbersOf(logits), numbersOf(statistics)];
  const perMean = means && numbersOf(means);
  let loss = 0;
  for (const [row, label] of labels.entries()) {
    if (label === ignoreIndex) continue;
    const [most, sum] = [perRow[2 * row]!, perRow[2 * row + 1]!];
    const picked = x[row * classes + label]! - most;
    // Without smoothing a class that is ruled out by -Infinity takes no part: 0 times it is no number.
    const target = perMean ? picked * (1 - labelSmoothing) + perMean[row]! * labelSmoothing : picked;
    loss += Math.log(sum) - target;
  }
  return loss * crossEntropyWeight(call);
}

/** Two numbers a row are kept of the softmax; the gradient makes it again, in the place where it is wanted. */
export const crossEntropyWasm: Kernel<CrossEntropyCall> = kernel(crossEntropyOperation, {
  name: "crossEntropy.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  forward(call) {
    const { address, memory, output, run } = machine();
    const { logits, labels, labelSmoothing = 0 } = call;
    const loss = output([]);
    const statistics = output([labels.length, 2]);
    const means = labelSmoothing === 0 ? undefined : output([labels.length]);
    const placed = placeLabels(call);
    run("cross_entropy", [
      ...[logits, placed, statistics].map(address),
      means ? address(means) : 0,
      labels.length,
      logits.shape.at(-1)!,
    ]);
    const numbersOf = (tensor: Tensor): Float32Array =>
      new Float32Array(memory.buffer, address(tensor), tensor.size);
    numbersOf(loss)[0] = lossOf(call, numbersOf, statistics, means);
    return { output: loss, saved: [statistics, placed] };
  },
  gradient: ({ call, saved, dy }) => ({
    logits: () => {
      const { address, output, run } = machine();
      const { logits, labels, labelSmoothing = 0 } = call;
      const dx = output(logits.shape);
      const [statistics, placed] = saved as [Tensor, Tensor];
      run("cross_entropy_gradient", [
        ...[logits, placed, statistics, dy, dx].map(address),
        labels.length,
        logits.shape.at(-1)!,
        float(crossEntropyWeight(call)),
        float(labelSmoothing),
      ]);
      return dx;
    },
  }),
});
