/** Between a layer's width and its heads. */
import type { Tensor } from "@tensorflow/tfjs-core";
import { reject, reshape, transpose } from "@heddle/core";

/** [B, L, H D] to [B, H, L, D]. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  const [batch, length, width] = x.shape as [number, number, number];
  if (width % heads !== 0) reject("splitHeads: width", `be a multiple of ${heads} heads`, width);
  return transpose(reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, H, L, D] to [B, L, H D]. */
export function mergeHeads(x: Tensor): Tensor {
  const [batch, heads, length, width] = x.shape as [number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch, length, heads * width]);
}
