import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { startPeers } from "../peers/start.ts";
import type { BenchSuite } from "./suite.ts";

/** The peers that started, and the reasons of the others. */
export type Peers = Awaited<ReturnType<typeof startPeers>>;

/** A suite on the WASM backend, on one thread. */
export async function wasmSuite(cases: BenchSuite["cases"]): Promise<BenchSuite> {
  const backend = await startBackend(wasm({ threads: 1 }));
  return {
    threads: 1,
    get mode() {
      return backend.description;
    },
    cases,
    stop: () => backend.dispose(),
  };
}

/** The same with the peers, which are stopped with it. */
export async function wasmSuiteWithPeers(
  cases: (peers: Peers) => ReturnType<BenchSuite["cases"]>,
): Promise<BenchSuite> {
  // The backend first: one of the peers runs on it.
  const suite = await wasmSuite(() => cases(peers));
  const peers = await startPeers(suite.threads);
  const { stop } = suite;
  return Object.assign(suite, {
    async stop() {
      for (const peer of peers) if ("stop" in peer) await peer.stop();
      await stop();
    },
  });
}
