import { kernel, matmulOperation } from "@heddle/core";
import type { Kernel, MatmulCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";
import { transposed } from "./transposed.ts";

/** Fields of the task that are those of `linear`. */
const [NO_BIAS, NO_RESIDUAL, PLAIN, NO_ACTIVATION] = [0, 0, 0, 0];

/** The last two dimensions swapped. */
function swapped(x: Tensor): Tensor {
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  const shape = [...x.shape.slice(0, -2), columns, rows];
  return transposed(x, { batch: x.size / (rows * columns), rows, shape });
}

/** a b over the last two dimensions. The second factor is packed in either form, the first is transposed before. */
function multiply(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const { address, output, run, tile } = machine();
  const x = transposeA ? swapped(a) : a;
  const [rows, inner] = x.shape.slice(-2) as [number, number];
  const out = b.shape.at(transposeB ? -2 : -1)!;
  const y = output([...x.shape.slice(0, -1), out]);
  run("matmul", [
    address(x),
    address(b),
    NO_BIAS,
    NO_RESIDUAL,
    address(y),
    rows,
    inner,
    out,
    transposeB ? 1 : 0,
    PLAIN,
    NO_ACTIVATION,
    tile.columns,
    tile.rows,
    x.size / (rows * inner),
  ]);
  return y;
}

/** Every product of a batch by the micro-kernels of `linear`. */
export const matmulWasm: Kernel<MatmulCall> = kernel(matmulOperation, {
  name: "matmul.f32.wasm.panels",
  backend: "wasm",
  unsupported: ({ a, b }) => (a.size === 0 || b.size === 0 ? ["a matrix has no values"] : []),
  forward: ({ a, b, transposeA = false, transposeB = false }) => ({
    output: multiply(a, b, transposeA, transposeB),
  }),
  gradient: ({ call: { a, b, transposeA = false, transposeB = false }, dy }) => ({
    a: () => (transposeA ? multiply(b, dy, transposeB, true) : multiply(dy, b, false, !transposeB)),
    b: () => (transposeB ? multiply(dy, a, true, transposeA) : multiply(a, dy, !transposeA, false)),
  }),
});
