/** Who is compared in several measurements. */
import type { Entrants } from "./race.ts";

/** Ours as Node 24 runs it. */
export const WIDE = "wide";
/** Ours as browsers run it. */
export const NARROW = "narrow";
export const WEB = "onnxruntime-web";
export const NATIVE = "onnxruntime-node";
export const TORCH = "pytorch";
export const TFJS = "tfjs";

/** Both of ours. */
export const ours = (threads: number): Entrants => ({
  [WIDE]: { who: "heddle", threads, wide: true },
  [NARROW]: { who: "heddle", threads },
});

/** Both of ours and who runs a graph or a model. */
export const againstRuntimes = (threads: number): Entrants => ({
  ...ours(threads),
  [WEB]: { who: "onnxruntime-web", threads },
  [NATIVE]: { who: "onnxruntime-node", threads },
  [TORCH]: { who: "pytorch", threads },
});
