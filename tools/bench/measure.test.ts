import { describe, expect, it } from "vitest";
import { measure, quantile } from "./measure.ts";

describe("quantile", () => {
  it("interpolates", () => {
    expect([0, 0.25, 0.5, 1].map((share) => quantile([1, 2, 3, 5], share))).toEqual([1, 1.75, 2.5, 5]);
  });
});

describe("measure", () => {
  it("takes turns, leaves the warm-up out, goes through the data, and gives medians", async () => {
    let clock = 0;
    const log: string[] = [];
    const contender = (name: string, costs: readonly number[]) => {
      let runs = 0;
      return {
        name,
        run: async (set: number) => {
          log.push(`${name}${set}`);
          clock += costs[runs++]!;
        },
      };
    };
    const result = await measure([contender("a", [100, 1, 2, 3]), contender("b", [100, 8, 4, 6])], {
      repeats: 3,
      warmUp: 1,
      sets: 2,
      now: () => clock,
    });
    expect(log).toEqual(["a0", "b0", "b1", "a1", "a0", "b0", "b1", "a1"]);
    expect(result.get("a")).toEqual({ median: 2, spread: 0.5 });
    expect(result.get("b")).toEqual({ median: 6, spread: 2 / 6 });
  });

  it("takes the word of a contender that times itself", async () => {
    const result = await measure([{ name: "child", run: async () => 7 }], {
      repeats: 3,
      sets: 1,
      now: () => 0,
    });
    expect(result.get("child")).toEqual({ median: 7, spread: 0 });
  });

  it("goes on without a contender that throws", async () => {
    const result = await measure(
      [
        { name: "ours", run: async () => {} },
        {
          name: "peer",
          run: async () => {
            throw new Error("no such kernel");
          },
        },
      ],
      { repeats: 2, sets: 1, now: () => 0 },
    );
    expect(result.get("peer")).toEqual({ error: "no such kernel" });
    expect(result.get("ours")).toMatchObject({ median: 0 });
  });
});
