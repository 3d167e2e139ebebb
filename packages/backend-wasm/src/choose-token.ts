import { chooseTokenOperation, kernel } from "@heddle/core";
import type { ChooseTokenCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { float, machine } from "./machine.ts";

/** A row is read once for the greatest, and a few times more for a draw; nothing is sorted. */
export const chooseTokenWasm: Kernel<ChooseTokenCall> = kernel(chooseTokenOperation, {
  name: "chooseToken.f32.wasm.rows",
  backend: "wasm",
  unsupported: () => [],
  forward({ logits, idsBelow, draw }) {
    const { address, run } = machine();
    const [batch, vocabulary] = logits.shape as [number, number];
    const below = idsBelow ?? vocabulary;
    const { temperature = 1, topK = below, places } = draw ?? {};
    const ids = tf.tensor1d(new Int32Array(batch), "int32");
    const placed = places && tf.tensor1d([...places]);
    run("choose_token", [
      address(logits),
      placed ? address(placed) : 0,
      address(ids),
      batch,
      vocabulary,
      below,
      Math.min(topK, below),
      float(temperature),
    ]);
    return { output: ids };
  },
});
