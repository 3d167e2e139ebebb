import { describe, expect, it } from "vitest";
import { differences, type QuickstartReport } from "./same-quickstart.ts";

describe("differences", () => {
  const report: QuickstartReport = {
    trainLoss: [5.5, 5.25, 5],
    validationLoss: 4.75,
    reloadMaxDifference: 0,
    sample: "Call me",
    patterns: [{ name: "causal", allowedShare: 0.5, validationLoss: 4.75 }],
  };

  it("finds none in equal runs", () => {
    expect(differences(report, structuredClone(report))).toEqual([]);
  });

  it("names each field, and the first step, that differs", () => {
    const other = {
      trainLoss: [5.5, 5.25000000001, 6],
      validationLoss: 4,
      reloadMaxDifference: 1e-7,
      sample: "Call us",
      patterns: [{ name: "causal", allowedShare: 0.25, validationLoss: 4.75 }],
    };
    expect(differences(report, other)).toEqual([
      "trainLoss[1]: must be equal in both runs, got 5.25 and 5.25000000001",
      "validationLoss: must be equal in both runs, got 4.75 and 4",
      "reloadMaxDifference: must be equal in both runs, got 0 and 1e-7",
      'sample: must be equal in both runs, got "Call me" and "Call us"',
      'patterns: must be there and equal in both runs, got [["causal",0.5,4.75]] and [["causal",0.25,4.75]]',
    ]);
    expect(differences(report, { ...report, trainLoss: [5.5, 5.25] })).toEqual([
      "trainLoss[2]: must be equal in both runs, got 5 and undefined",
    ]);
  });

  it("does not take two empty reports for equal", () => {
    const empty = JSON.parse("{}") as QuickstartReport;
    expect(differences(empty, empty)).toHaveLength(5);
  });
});
