import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useBackend } from "@heddle/conformance";
import { loadModel, gpt } from "@heddle/models";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { characterTokenizer, encodeCharacters } from "./character-tokenizer.ts";
import { describeStep, sparingly } from "./step-line.ts";
import { trainShakespeare } from "./train-shakespeare.ts";

const line = "Now is the winter of our discontent\nMade glorious summer by this sun of York;\n";
const text = line.repeat(12);

describe("characterTokenizer", () => {
  const tokenizer = characterTokenizer("héllo\n 🙂 a");

  it("numbers characters in code point order and gives any text of them back", () => {
    expect(tokenizer.size).toBe(8);
    expect(tokenizer.encode("\n a🙂")).toEqual([0, 1, 2, 7]);
    expect(tokenizer.decode(tokenizer.encode("hello 🙂\n  oh".replace("e", "é")))).toBe("héllo 🙂\n  oh");
    expect([...encodeCharacters(tokenizer, "\n a🙂")]).toEqual([0, 1, 2, 7]);
  });

  it("refuses an empty text, and a character that it lacks", () => {
    expect(() => characterTokenizer("")).toThrow("characterTokenizer: text must hold at least one character");
    expect(() => encodeCharacters(tokenizer, "x")).toThrow(
      'encodeCharacters: text must hold characters of the tokenizer only, got "x"',
    );
  });
});

describe("trainShakespeare", () => {
  useBackend("wasm");
  let out: string;
  beforeEach(() => {
    out = mkdtempSync(join(tmpdir(), "heddle-shakespeare-"));
  });
  afterEach(() => rmSync(out, { recursive: true }));

  it("trains, saves a model with its tokenizer, and resumes to the same loss", async () => {
    const seen: number[] = [];
    const onStep = ({ step }: { step: number }): void => void seen.push(step);
    const result = await trainShakespeare({ text, out, steps: 4, onStep });
    expect(result).toMatchObject({ steps: 4, parameters: 804_864, validationTokens: 94 - 1 });
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(result.trainLoss[3]).toBeLessThan(result.trainLoss[0]!);
    const again = await trainShakespeare({ text, out, steps: 4, resume: true });
    expect(again).toEqual({ ...result, trainLoss: [] });
    const { model, tokenizer } = await loadModel(out, { families: [gpt] });
    expect(tokenizer?.decode(tokenizer.encode("winter"))).toBe("winter");
    model.dispose();
  });
});

describe("describeStep", () => {
  const step = {
    step: 120,
    steps: 2000,
    loss: 2.41284,
    learningRate: 1e-3,
    gradientNorm: 1,
    tokens: 768,
    tokensPerSecond: 2400.4,
    secondsLeft: 560,
  };

  it("is a line for people", () => {
    expect(describeStep(step)).toBe("step 120 of 2000, loss 2.4128, 2,400 tokens/s, 9 min 20 s left");
    expect(describeStep({ ...step, secondsLeft: 59.7, validationLoss: 2.5 })).toBe(
      "step 120 of 2000, loss 2.4128, validation loss 2.5000, 2,400 tokens/s, 1 min 0 s left",
    );
  });
});

describe("sparingly", () => {
  it("says one text in a while, and what must be said", () => {
    const said: string[] = [];
    let time = 0;
    const say = sparingly(
      10,
      (each) => said.push(each),
      () => time,
    );
    for (; time < 25; time += 5) say(`at ${time}`);
    say("important", true);
    expect(said).toEqual(["at 0", "at 10", "at 20", "important"]);
  });
});
