/** Linear layers with bias against every peer, all of them on packed weights where they have that. */
import { prepareHeddle } from "../../peers/heddle.ts";
import { againstPeers } from "../against-peers.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuiteWithPeers } from "../wasm-suite.ts";
import type { Peers } from "../wasm-suite.ts";
import { worksOf } from "../works.ts";
import type { LinearSpec } from "../works.ts";

/** The MLPs of a model of 12 layers, 227 MB. */
const TWENTY_FOUR = Array.from({ length: 25 }, (_, i) => (i % 2 === 0 ? 768 : 3072));

const definitions: Readonly<Record<string, Omit<LinearSpec, "kind">>> = {
  "128x768x768": { rows: 128, widths: [768, 768] },
  "512x768x3072": { rows: 512, widths: [768, 3072] },
  "512x768x3072, gelu": { rows: 512, widths: [768, 3072], activation: "gelu" },
  "1 row through 24 layers, 768 to 3072 to 768": { rows: 1, widths: TWENTY_FOUR },
};

async function* cases(peers: Peers): AsyncGenerator<BenchCase> {
  for (const [name, definition] of Object.entries(definitions)) {
    const works = worksOf({ kind: "linear", ...definition });
    yield await againstPeers({ name, works, ours: await prepareHeddle(works), peers });
  }
}

/** Starts WASM and the peers. */
export const linear = (): Promise<BenchSuite> => wasmSuiteWithPeers(cases);
