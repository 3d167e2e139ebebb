import { startJax } from "./jax.ts";
import { startOnnxruntime } from "./onnxruntime.ts";
import { reasonOf } from "./peer.ts";
import type { AbsentPeer, Peer } from "./peer.ts";
import { startTfjs } from "./tfjs.ts";
import { startTorch } from "./torch.ts";

type Start = (threads: number) => Promise<Peer>;

const starters: Readonly<Record<string, Start>> = {
  "onnxruntime-web": (threads) => startOnnxruntime("onnxruntime-web", threads),
  "onnxruntime-node": (threads) => startOnnxruntime("onnxruntime-node", threads),
  tfjs: startTfjs,
  "jax-js": startJax,
  pytorch: startTorch,
};

/** Why a peer did not start, and what would help. */
function absence(error: unknown): string {
  const isMissing = error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND";
  return isMissing ? "not installed: npm run bench:setup" : reasonOf(error);
}

/** Starts every peer, each on so many threads; one that does not start is there with its reason. */
export async function startPeers(
  threads: number,
  start: Readonly<Record<string, Start>> = starters,
): Promise<(Peer | AbsentPeer)[]> {
  const peers: (Peer | AbsentPeer)[] = [];
  for (const [name, open] of Object.entries(start))
    try {
      peers.push(await open(threads));
    } catch (error) {
      peers.push({ name, reason: absence(error) });
    }
  return peers;
}
