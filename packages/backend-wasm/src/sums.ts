import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

/** Sums over the rows of each of `batch` matrices, [batch, width], in the order of the rows, whoever does them. */
export function rowSums(x: Tensor, batch: number, width: number, shape: readonly number[]): Tensor {
  const { address, output, run } = machine();
  const y = output(shape);
  run("column_sums", [address(x), address(y), x.size / (batch * width), width, batch]);
  return y;
}

/** Sums over all dimensions but the last. */
export function columnSums(x: Tensor): Tensor {
  const width = x.shape.at(-1)!;
  return rowSums(x, 1, width, [width]);
}
