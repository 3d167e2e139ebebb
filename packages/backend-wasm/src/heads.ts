import { mergeHeadsOperation, splitHeadsOperation } from "@heddle/attention";
import type { MergeHeadsCall, SplitHeadsCall } from "@heddle/attention";
import { kernel } from "@heddle/core";
import type { Kernel } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { machine } from "./machine.ts";

/** Heads of rows [B, L, width], from `begin` on, to [B, H, L, D]. */
function split(x: Tensor, heads: number, headWidth: number, begin: number): Tensor {
  const { address, output, run } = machine();
  const [batch, length, width] = x.shape as [number, number, number];
  const y = output([batch, heads, length, headWidth]);
  run("split", [address(x), address(y), batch, length, width, heads, headWidth, begin]);
  return y;
}

/** Back to rows [B, L, width], zeros around the heads. */
function merge(x: Tensor, width: number, begin: number): Tensor {
  const { address, output, run } = machine();
  const [batch, heads, length, headWidth] = x.shape as [number, number, number, number];
  const y = output([batch, length, width]);
  run("merge", [address(x), address(y), batch, length, width, heads, headWidth, begin]);
  return y;
}

/** One copy, from a part of fused projections too. */
export const splitHeadsWasm: Kernel<SplitHeadsCall> = kernel(splitHeadsOperation, {
  name: "splitHeads.f32.wasm",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward: ({ x, heads, begin = 0, headWidth = x.shape[2]! / heads }) => ({
    output: split(x, heads, headWidth, begin),
  }),
  gradient: ({ call: { x, begin = 0 }, dy }) => ({ x: () => merge(dy, x.shape[2]!, begin) }),
});

/** One copy. */
export const mergeHeadsWasm: Kernel<MergeHeadsCall> = kernel(mergeHeadsOperation, {
  name: "mergeHeads.f32.wasm",
  backend: "wasm",
  unsupported: () => [],
  needs: [],
  forward: ({ x }) => ({ output: merge(x, x.shape[1]! * x.shape[3]!, 0) }),
  gradient: ({ call: { x }, dy }) => ({ x: () => split(dy, x.shape[1]!, x.shape[3]!, 0) }),
});
