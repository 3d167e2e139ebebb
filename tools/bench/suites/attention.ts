/** Attention forward, 12 heads of 64, against every peer; sparse patterns against our own dense. */
import * as tf from "@tensorflow/tfjs-core";
import { attention, bigBird, causal, full, slidingWindow } from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";
import type { AttentionWork, Prepared } from "../../peers/peer.ts";
import { againstPeers } from "../against-peers.ts";
import { setsBeyondCaches, values } from "../data.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuiteWithPeers } from "../wasm-suite.ts";
import type { Peers } from "../wasm-suite.ts";

const HEADS = 12;
const WIDTH = 64;

const SPARSE_LENGTH = 4096;
const sparse: Readonly<Record<string, AttentionPattern>> = {
  "window 256 each side": slidingWindow({ before: 256, after: 256 }),
  "BigBird, block 64, 3 random": bigBird({ block: 64, window: 3, global: 2, random: 3, seed: 1 }),
};

function worksOf(length: number, isCausal: boolean): AttentionWork[] {
  const count = HEADS * length * WIDTH;
  // q, k, v and the result.
  return Array.from({ length: setsBeyondCaches(4 * 4 * count) }, (_, seed) => ({
    kind: "attention",
    heads: HEADS,
    length,
    width: WIDTH,
    isCausal,
    q: values(count, { seed, path: "q" }),
    k: values(count, { seed, path: "k" }),
    v: values(count, { seed, path: "v" }),
  }));
}

/** Ours under a pattern. */
function prepareOurs(works: readonly AttentionWork[], pattern: AttentionPattern): Prepared {
  const placed = works.map(({ heads, length, width, q, k, v }) => {
    const place = (x: Float32Array<ArrayBuffer>): tf.Tensor4D => tf.tensor4d(x, [1, heads, length, width]);
    return { q: place(q), k: place(k), v: place(v) };
  });
  const read = async (set: number): Promise<Float32Array> => {
    const result = tf.tidy(() => attention({ ...placed[set]!, pattern }));
    const read = (await result.data()) as Float32Array;
    result.dispose();
    return read;
  };
  return {
    run: async (set) => void (await read(set)),
    values: read,
    dispose: async () => tf.dispose(placed),
  };
}

function sparseCase(name: string, pattern: AttentionPattern): BenchCase {
  const works = worksOf(SPARSE_LENGTH, false);
  const ours = prepareOurs(works, pattern);
  const dense = prepareOurs(works, full());
  return {
    name: `T ${SPARSE_LENGTH}, ${name}`,
    sets: works.length,
    ours: ours.run,
    peers: { "our dense": dense.run },
    async dispose() {
      await ours.dispose();
      await dense.dispose();
    },
  };
}

async function* cases(peers: Peers): AsyncGenerator<BenchCase> {
  for (const length of [512, 2048])
    for (const [kind, pattern] of Object.entries({ full: full(), causal: causal() })) {
      const works = worksOf(length, kind === "causal");
      const ours = prepareOurs(works, pattern);
      yield await againstPeers({ name: `T ${length}, ${kind}`, works, ours, peers });
    }
  for (const [name, pattern] of Object.entries(sparse)) yield sparseCase(name, pattern);
}

/** Starts WASM and the peers. */
export const attentionForward = (): Promise<BenchSuite> => wasmSuiteWithPeers(cases);
