import { checkAgreement } from "../peers/agreement.ts";
import { reasonOf } from "../peers/peer.ts";
import type { AbsentPeer, Peer, Prepared, Work } from "../peers/peer.ts";
import type { BenchCase } from "./suite.ts";

/** A case for all peers. */
export interface PeerCase {
  readonly name: string;
  readonly works: readonly Work[];
  readonly ours: Prepared;
  readonly peers: readonly (Peer | AbsentPeer)[];
}

/** Prepares every peer and compares its values with ours: one that cannot, or differs, is there with its reason. */
export async function againstPeers({ name, works, ours, peers }: PeerCase): Promise<BenchCase> {
  const expected = await ours.values(0);
  const ready = new Map<string, Prepared>();
  const absent: Record<string, string> = {};
  for (const peer of peers) {
    if ("reason" in peer) {
      absent[peer.name] = peer.reason;
      continue;
    }
    let prepared: Prepared | undefined;
    try {
      prepared = await peer.prepare(works);
      checkAgreement(expected, await prepared.values(0));
      ready.set(peer.name, prepared);
    } catch (error) {
      absent[peer.name] = reasonOf(error);
      await prepared?.dispose();
    }
  }
  const chosen = [...ready].flatMap(([peer, { form }]) => (form === undefined ? [] : [[peer, form]]));
  return {
    name,
    sets: works.length,
    ours: ours.run,
    peers: Object.fromEntries(
      peers.map((peer) => [peer.name, ready.get(peer.name)?.run ?? absent[peer.name]!]),
    ),
    forms: Object.fromEntries(chosen),
    async dispose() {
      for (const prepared of [ours, ...ready.values()]) await prepared.dispose();
    },
  };
}
