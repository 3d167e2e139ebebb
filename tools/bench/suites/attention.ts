/** Attention forward, 12 heads of 64, against every peer; sparse patterns against our own dense. */
import { prepareHeddle } from "../../peers/heddle.ts";
import { sparsePatterns } from "../../peers/sparse-patterns.ts";
import type { SparsePattern } from "../../peers/sparse-patterns.ts";
import { againstPeers } from "../against-peers.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuiteWithPeers } from "../wasm-suite.ts";
import type { Peers } from "../wasm-suite.ts";
import { worksOf } from "../works.ts";

const SPARSE_LENGTH = 4096;

async function sparseCase(pattern: SparsePattern): Promise<BenchCase> {
  const works = worksOf({ kind: "attention", length: SPARSE_LENGTH, pattern });
  const ours = await prepareHeddle(works);
  const dense = await prepareHeddle(worksOf({ kind: "attention", length: SPARSE_LENGTH }));
  return {
    name: `T ${SPARSE_LENGTH}, ${pattern}`,
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
    for (const isCausal of [false, true]) {
      const works = worksOf({ kind: "attention", length, isCausal });
      const name = `T ${length}, ${isCausal ? "causal" : "full"}`;
      yield await againstPeers({ name, works, ours: await prepareHeddle(works), peers });
    }
  for (const pattern of Object.keys(sparsePatterns)) yield sparseCase(pattern as SparsePattern);
}

/** Starts WASM and the peers. */
export const attentionForward = (): Promise<BenchSuite> => wasmSuiteWithPeers(cases);
