import { describe, expect, it } from "vitest";
import { rowText } from "./row.ts";
import { runSuite } from "./suite.ts";
import type { BenchSuite } from "./suite.ts";

const wait = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

function suiteOf(ours: () => Promise<void>, freed: string[]): BenchSuite {
  return {
    threads: 1,
    mode: "test",
    stop: async () => {},
    *cases() {
      yield {
        name: "one",
        sets: 1,
        ours,
        peers: {
          slow: () => wait(30),
          absent: async () => {
            throw new Error("no such kernel");
          },
        },
        dispose: () => freed.push("one"),
      };
    },
  };
}

describe("runSuite", () => {
  it("gives rows whose ratio says how many times faster ours is, and frees the data", async () => {
    const freed: string[] = [];
    const rows = [];
    for await (const row of runSuite(
      "waiting",
      suiteOf(() => wait(3), freed),
      { repeats: 3 },
    ))
      rows.push(row);
    expect(freed).toEqual(["one"]);
    const [row] = rows;
    expect(row).toEqual({
      suite: "waiting",
      case: "one",
      unit: "ms",
      ours: expect.any(Number),
      peers: { slow: expect.any(Number), absent: "no such kernel" },
      ratio: { slow: expect.any(Number) },
      threads: 1,
      mode: "test",
      repeats: 3,
      spread: expect.any(Number),
    });
    expect(row!.ratio.slow).toBe((row!.peers.slow as number) / row!.ours);
    expect(row!.ratio.slow).toBeGreaterThan(1);
    expect(rowText(row!)).toMatch(
      /^waiting +one +[\d.]+ ms ±\d+ %  slow [\d.]+ ms \([\d.]+x\), absent: no such kernel$/,
    );
  });

  it("ends with the reason when ours throws, after freeing the data", async () => {
    const freed: string[] = [];
    const broken = async (): Promise<void> => {
      throw new Error("broken");
    };
    await expect(runSuite("waiting", suiteOf(broken, freed), { repeats: 1 }).next()).rejects.toThrow(
      "waiting: one: broken",
    );
    expect(freed).toEqual(["one"]);
  });
});
