import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

/** Each of `batch` matrices of so many rows transposed; the result has the shape that is given. */
export function transposed(
  x: Tensor,
  { batch, rows, shape }: { batch: number; rows: number; shape: readonly number[] },
): Tensor {
  const { address, output, run } = machine();
  const y = output(shape);
  run("transpose", [address(x), address(y), batch, rows, x.size / (batch * rows)]);
  return y;
}
