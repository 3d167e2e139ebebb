import { describe, expect, it } from "vitest";
import { rowText } from "./row.ts";
import { runSuite } from "./suite.ts";
import type { BenchCase, BenchSuite } from "./suite.ts";

function suiteOf(cases: readonly BenchCase[]): BenchSuite {
  return { threads: 1, mode: "none", cases: () => cases, stop: async () => {} };
}

const row = async (one: BenchCase) => {
  const { value } = await runSuite("suite", suiteOf([one]), { repeats: 3 }).next();
  if (!value) throw new Error("no row");
  return value;
};

describe("runSuite", () => {
  it("gives times, ratios, forms and the reasons of who is absent or fails", async () => {
    let isFree = false;
    const result = await row({
      name: "case",
      sets: 1,
      ours: async () => 2,
      peers: {
        slow: async () => 5,
        failing: () => Promise.reject(new Error("out of memory")),
        absent: "not installed",
      },
      forms: { slow: "Gemm" },
      dispose: async () => void (isFree = true),
    });
    expect(isFree).toBe(true);
    expect(result).toEqual({
      suite: "suite",
      case: "case",
      unit: "ms",
      ours: 2,
      peers: { slow: 5, failing: "out of memory", absent: "not installed" },
      forms: { slow: "Gemm" },
      ratio: { slow: 2.5 },
      threads: 1,
      mode: "none",
      repeats: 3,
      spread: 0,
    });
    expect(rowText(result)).toMatch(
      /2\.00 ms ±0 % {2}slow \[Gemm\] 5\.00 ms \(2\.50x\), failing: out of memory, absent: not installed$/,
    );
  });

  it("measures only cases with a text in their names, and frees the others", async () => {
    const freed: string[] = [];
    const ours = async (): Promise<void> => {};
    const cases = ["softmax", "matmul"].map((name): BenchCase => ({
      name,
      sets: 1,
      ours,
      peers: {},
      dispose: () => void freed.push(name),
    }));
    const measured: string[] = [];
    for await (const one of runSuite("suite", suiteOf(cases), { repeats: 3, only: "mul" }))
      measured.push(one.case);
    expect(measured).toEqual(["matmul"]);
    expect(freed).toEqual(["softmax", "matmul"]);
  });

  it("says what the suite ran on as the suite knows it after the run", async () => {
    let mode = "narrow or wide";
    const ours = async (): Promise<void> => void (mode = "wide");
    const one: BenchCase = { name: "case", sets: 1, ours, peers: {}, dispose() {} };
    const suite = {
      ...suiteOf([one]),
      get mode() {
        return mode;
      },
    };
    const { value } = await runSuite("suite", suite, { repeats: 3 }).next();
    expect(value?.mode).toBe("wide");
  });

  it("gives rates, with the same ratios", async () => {
    const result = await row({
      name: "case",
      sets: 1,
      ours: async () => 2,
      peers: { slow: async () => 4 },
      rate: { unit: "GB/s", amount: 0.5 },
      dispose() {},
    });
    expect(result).toMatchObject({ unit: "GB/s", ours: 250, peers: { slow: 125 }, ratio: { slow: 2 } });
  });

  it("ends with the reason when ours throws, after freeing the data", async () => {
    let isFree = false;
    const broken: BenchCase = {
      name: "case",
      sets: 1,
      ours: () => Promise.reject(new Error("broken")),
      peers: {},
      dispose: () => void (isFree = true),
    };
    await expect(row(broken)).rejects.toThrow("suite: case: broken");
    expect(isFree).toBe(true);
  });
});
