import { kernel, matmulOperation } from "@heddle/core";
import type { Kernel, MatmulCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { product } from "./product.ts";

/** a b over the last two dimensions. */
function multiply(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const leading = a.shape.slice(0, -2);
  const [rows, inner] = [a.shape.at(transposeA ? -1 : -2)!, a.shape.at(transposeA ? -2 : -1)!];
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  const batch = leading.reduce((count, length) => count * length, 1);
  return product({ a, b, transposeA, transposeB, batch, rows, inner, columns }, [...leading, rows, columns]);
}

/** Every product of a batch in one dispatch; no factor is transposed before. */
export const matmulWebGpu: Kernel<MatmulCall> = kernel(matmulOperation, {
  name: "matmul.f32.webgpu.tiles",
  backend: "webgpu",
  unsupported: () => [],
  forward: ({ a, b, transposeA = false, transposeB = false }) => ({
    output: multiply(a, b, transposeA, transposeB),
  }),
  gradient: ({ call: { a, b, transposeA = false, transposeB = false }, dy }) => ({
    a: () => (transposeA ? multiply(b, dy, transposeB, true) : multiply(dy, b, false, !transposeB)),
    b: () => (transposeB ? multiply(dy, a, true, transposeA) : multiply(a, dy, !transposeA, false)),
  }),
});
