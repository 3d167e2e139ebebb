import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { byteTokenizer } from "@heddle/tokenizers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { mobyDick, split } from "./corpus.ts";
import { lossCurve } from "./loss-curve.ts";
import { readOptions } from "./options.ts";
import { checkOutputs, writeOutput } from "./outputs.ts";
import { createProgress, progressLine } from "./progress.ts";
import { quickstart } from "./quickstart.ts";
import { checkSameLogits, largestDifference } from "./same-logits.ts";
import { visible } from "./visible.ts";

// Calls go through; the test below reads which were made.
vi.mock("./same-logits.ts", { spy: true });

describe("readOptions", () => {
  it("has defaults and reads every flag", () => {
    expect(readOptions([])).toEqual({
      steps: 600,
      seed: 1,
      backend: "wasm",
      attention: { name: "full" },
      out: "out/quickstart",
    });
    const flags = ["--steps", "5", "--seed", "2", "--backend", "cpu", "--out", "o", "--json", "j"];
    expect(readOptions([...flags, "--attention", '{"name":"sliding-window","before":31}'])).toEqual({
      steps: 5,
      seed: 2,
      backend: "cpu",
      attention: { name: "sliding-window", before: 31 },
      out: "o",
      json: "j",
    });
    expect(readOptions(["--help"])).toBeUndefined();
  });

  it.each([
    [["--steps", "0"], 'quickstart: --steps must be an integer >= 1, got "0"'],
    [["--steps", "many"], 'quickstart: --steps must be an integer >= 1, got "many"'],
    [["--seed", "1.5"], 'quickstart: --seed must be an integer >= 0, got "1.5"'],
    [["--backend", "cuda"], 'quickstart: --backend must be one of "cpu", "wasm", "webgpu", got "cuda"'],
    [["--attention", "full"], "quickstart: --attention must be JSON, got full"],
    [["--speed", "9"], "Unknown option '--speed'"],
  ])("refuses %j", (flags, message) => {
    expect(() => readOptions(flags)).toThrow(message);
  });
});

describe("outputs", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "heddle-quickstart-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("may lie in folders that are new", async () => {
    const json = join(folder, "a/b/result.json");
    await checkOutputs({ out: join(folder, "c/d"), json });
    await writeOutput(json, { steps: 1 });
    expect(readFileSync(json, "utf8")).toBe('{\n  "steps": 1\n}\n');
  });

  it.runIf(process.platform === "linux")(
    "are refused where nothing can be made, without a hang",
    async () => {
      await expect(checkOutputs({ out: "/proc/heddle/out" })).rejects.toThrow("--out must be a folder");
    },
  );

  it("are refused before anything is trained", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "mine");
    await expect(checkOutputs({ out: file })).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining(
        `quickstart: --out must be a folder that can be written to, got "${file}" (EEXIST`,
      ),
    });
    await expect(checkOutputs({ out: folder, json: folder })).rejects.toThrow(
      `quickstart: --json must be a file that can be written to, got "${folder}" (EISDIR`,
    );
    await expect(checkOutputs({ out: join(file, "x") })).rejects.toThrow("(EEXIST");
    await expect(writeOutput(join(file, "x.json"), {})).rejects.toThrow("(ENOTDIR");
    expect(readFileSync(file, "utf8")).toBe("mine");
  });
});

describe("split", () => {
  it("keeps the last tenth for validation", () => {
    const corpus = split("0123456789", byteTokenizer());
    expect([[...corpus.train].length, [...corpus.validation]]).toEqual([9, [57]]);
    expect(() => split("", byteTokenizer())).toThrow("corpus must hold at least one token");
  });

  it("reads the novel from its first chapter on", () => {
    expect(mobyDick()).toContain("Call me Ishmael.");
    expect(mobyDick().length).toBeGreaterThan(1_000_000);
  });
});

describe("progress", () => {
  const at = (step: number) => ({
    step,
    steps: 200,
    loss: 2.34567,
    tokensPerSecond: 1234.6,
    secondsLeft: 9.2,
  });

  it("is one line", () => {
    expect(progressLine(at(7))).toBe("step   7/200  loss 2.346  1235 tokens/s  10 s left");
  });

  it("is written over on a terminal", () => {
    const out: string[] = [];
    const progress = createProgress({ isTTY: true, write: (text) => out.push(text) }, () => 0);
    progress.show(at(1));
    progress.show(at(2));
    progress.end();
    expect(out.map((text) => text.slice(0, 4))).toEqual(["\r\u001b[K", "\r\u001b[K", "\n"]);
  });

  it("is a plain line every 10 s elsewhere, and at the end", () => {
    const out: string[] = [];
    let seconds = 0;
    const progress = createProgress({ isTTY: false, write: (text) => out.push(text) }, () => seconds * 1000);
    for (let step = 1; step <= 30; step++) {
      seconds = step;
      progress.show(at(step));
    }
    progress.show(at(200));
    progress.end();
    expect(out.map((text) => text.slice(5, 8).trim())).toEqual(["10", "20", "30", "200"]);
  });
});

describe("lossCurve", () => {
  it("draws from the highest to the lowest average", () => {
    const lines = lossCurve(Array.from({ length: 240 }, (_, i) => 240 - i)).split("\n");
    expect(lines.length).toBe(9);
    expect(lines[0]).toContain("238.50");
    expect(lines.at(-1)).toContain("2.50");
    expect(lossCurve([3]).split("\n")[0]).toContain("3.00");
  });
});

describe("a sample on the terminal", () => {
  it("shows the control characters that would change the terminal, and no others", () => {
    expect(visible("\u001b[2J\u0007\r\0\t\u007f\u009b")).toBe("\\x1b[2J\\x07\\x0d\\x00\\x09\\x7f\\x9b");
    const text = "Call me \\x1b.\n\u00a0é\ufffd€\u{1f40b}";
    expect(visible(text)).toBe(text);
  });
});

describe("logits", () => {
  it("are compared entry by entry", () => {
    expect(largestDifference([1, -2, 3], [1, 2, 2])).toBe(4);
    expect(largestDifference([1], [1])).toBe(0);
    expect(largestDifference([1, NaN], [1, 2])).toBeNaN();
    expect(largestDifference([1, 2], [1])).toBeNaN();
  });

  it("that are others end the quickstart", () => {
    checkSameLogits("here", 0, 0);
    checkSameLogits("here", 1e-4, 1e-3);
    expect(() => checkSameLogits("after saving and loading", 1e-9, 0)).toThrow(
      "quickstart: logits after saving and loading must differ by at most 0, got 1e-9",
    );
    expect(() => checkSameLogits("on webgpu", NaN, 1e-3)).toThrow("must differ by at most 0.001, got NaN");
  });
});

describe("quickstart", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "quickstart-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("trains, saves, loads, samples and re-weaves, the same for the same seed", async () => {
    const options = {
      steps: 2,
      seed: 3,
      backend: "wasm",
      attention: { name: "sliding-window", before: 31 },
      out: join(folder, "model"),
    } as const;
    const screens: string[] = [];
    const run = async () => {
      let text = "";
      const result = await quickstart(options, { isTTY: false, write: (piece) => (text += piece) });
      screens.push(text);
      return result;
    };
    const [one, two] = [await run(), await run()];
    expect(one.trainLoss.length).toBe(2);
    // Untrained, a model of 256 bytes has a loss of about ln 256.
    expect(Math.abs(one.trainLoss[0]! - Math.log(256))).toBeLessThan(0.15);
    expect(one.trainLoss[1]).toBeLessThan(one.trainLoss[0]!);
    expect(one.reloadMaxDifference).toBe(0);
    expect(checkSameLogits).toHaveBeenCalledWith("after saving and loading", 0, 0);
    // Where npm brings a software adapter.
    if (process.platform === "linux" && process.arch === "x64") {
      expect(one.webgpu!.maxDifference).toBeLessThan(1e-4);
      expect(checkSameLogits).toHaveBeenCalledWith("on webgpu", one.webgpu!.maxDifference, 1e-3);
    }
    expect(one.sample.startsWith("Call me Ishmael. ")).toBe(true);
    // So early, bytes come that a terminal would obey: the results keep them, the screen shows them.
    expect(one.sample).not.toBe(visible(one.sample));
    expect(screens[0]).toContain(visible(one.sample.slice("Call me Ishmael. ".length)));
    expect(one.patterns.map(({ name }) => name)).toEqual([
      "causal",
      "sliding window",
      "dilated",
      "strided",
      "BigBird",
    ]);
    // Of 64 x 64 pairs, causal allows (64 + 1) / 128; a window of 32 keys leaves 32 * 33 / 2 of the upper half's out.
    expect(one.patterns[0]!.allowedShare).toBeCloseTo(65 / 128, 10);
    expect(one.patterns[1]!.allowedShare).toBeCloseTo((64 * 32 - (32 * 31) / 2) / 64 ** 2, 10);
    const lasting = ({ seconds: _, patterns, ...rest }: typeof one) => ({
      ...rest,
      patterns: patterns.map(({ milliseconds: __, longMilliseconds: ___, ...row }) => row),
    });
    expect(lasting(two)).toEqual(lasting(one));
    expect(screens[0]).not.toContain("tensors left");
  });
});
