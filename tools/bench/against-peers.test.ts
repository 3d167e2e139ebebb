import { describe, expect, it } from "vitest";
import type { Peer, Prepared, Work } from "../peers/peer.ts";
import { againstPeers } from "./against-peers.ts";

const none = new Float32Array();
const works: Work[] = [
  { kind: "attention", heads: 1, length: 0, width: 0, isCausal: false, q: none, k: none, v: none },
];

describe("againstPeers", () => {
  const disposed: string[] = [];
  const prepared = (name: string, value: number, form?: string): Prepared => ({
    ...(form && { form }),
    run: async () => value,
    values: async () => Float32Array.of(value),
    dispose: async () => void disposed.push(name),
  });
  const peer = (name: string, prepare: () => Promise<Prepared>): Peer => ({
    name,
    prepare,
    stop: async () => {},
  });

  it("measures only peers that compute the same, and says why not the others", async () => {
    const { peers, forms, sets, dispose } = await againstPeers({
      name: "case",
      works,
      ours: prepared("ours", 1),
      peers: [
        peer("same", async () => prepared("same", 1.00001, "Gemm")),
        peer("other", async () => prepared("other", 2)),
        peer("unable", () => Promise.reject(new Error("has no such operator"))),
        { name: "absent", reason: "not installed" },
      ],
    });
    expect(disposed).toEqual(["other"]);
    expect(sets).toBe(1);
    expect(forms).toEqual({ same: "Gemm" });
    expect(peers).toEqual({
      same: expect.any(Function),
      other: "values must agree within 0.0001, got a difference of 1.00",
      unable: "has no such operator",
      absent: "not installed",
    });
    await dispose();
    expect(disposed).toEqual(["other", "ours", "same"]);
  });
});
