import type { Tensor } from "@tensorflow/tfjs-core";
import { checkFields } from "@heddle/core";
import type { Activation, Initializer, LinearOptions, LinearSpec, Weights } from "@heddle/core";

export interface FeedForwardSpec {
  readonly width: number;
  /** @default 4 width */
  readonly innerWidth?: number;
  /** @default "gelu" */
  readonly activation?: Activation;
  readonly layout?: LinearSpec["layout"];
  /** Names of the two layers in the checkpoint. @default "up" and "down" */
  readonly names?: { readonly up: string; readonly down: string };
  /** First values of the second layer, which GPT-2 makes smaller in deeper models. */
  readonly downInit?: Initializer;
}

/** dropout(down(activation(up(x)))) + residual: https://arxiv.org/abs/1706.03762 §3.3. */
export function feedForward(
  weights: Weights,
  spec: FeedForwardSpec,
): (x: Tensor, options?: Omit<LinearOptions, "activation">) => Tensor {
  checkFields(`${weights.path}: feedForward: options`, spec, [
    "width",
    "innerWidth",
    "activation",
    "layout",
    "names",
    "downInit",
  ]);
  const { width, innerWidth = 4 * width, activation = "gelu", layout, names, downInit } = spec;
  if (names !== undefined) checkFields(`${weights.path}: feedForward: names`, names, ["up", "down"]);
  const { up = "up", down = "down" } = names ?? {};
  const first = weights.linear(up, { in: width, out: innerWidth, ...(layout && { layout }) });
  const second = weights.linear(down, {
    in: innerWidth,
    out: width,
    ...(layout && { layout }),
    ...(downInit && { init: downInit }),
  });
  return (x, options) => second(first(x, { activation }), options);
}
