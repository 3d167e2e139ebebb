import { afterEach, describe, expect, it, vi } from "vitest";
import type { Peer } from "./peer.ts";
import { startPeers } from "./start.ts";
import { startTorch } from "./torch.ts";

afterEach(() => vi.unstubAllEnvs());

describe("startPeers", () => {
  it("says why a peer is not there, and starts the others", async () => {
    const there: Peer = {
      name: "there",
      prepare: () => Promise.reject(new Error("no")),
      stop: async () => {},
    };
    const module: string = "no-such-package";
    const peers = await startPeers(1, {
      missing: async () => import(module),
      broken: async () => {
        throw new Error("must have AVX, got none\n  at line 1");
      },
      there: async () => there,
    });
    expect(peers).toEqual([
      { name: "missing", reason: "not installed: npm run bench:setup" },
      { name: "broken", reason: "must have AVX, got none" },
      there,
    ]);
  });
});

describe("startTorch", () => {
  it("says that there is no such program", async () => {
    vi.stubEnv("HEDDLE_PYTHON", "no-such-python");
    await expect(startTorch(1)).rejects.toThrow("no-such-python must start, got spawn no-such-python ENOENT");
  });

  it("gives the last words of one that ends", async () => {
    vi.stubEnv("HEDDLE_PYTHON", process.execPath);
    await expect(startTorch(1)).rejects.toThrow(/must run PyTorch, got /);
  });
});
