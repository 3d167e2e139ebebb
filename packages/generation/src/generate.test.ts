import * as tf from "@tensorflow/tfjs-core";
import { full } from "@heddle/attention";
import { useBackend } from "@heddle/conformance";
import { createWeights } from "@heddle/core";
import { defineModel } from "@heddle/models";
import type { Model, ModelConfig, ModelFamily } from "@heddle/models";
import { byteTokenizer } from "@heddle/tokenizers";
import type { Tokenizer } from "@heddle/tokenizers";
import { describe, expect, it } from "vitest";
import { generate } from "./generate.ts";
import type { EndReason, GenerateOptions } from "./generate.ts";

interface ScriptConfig extends ModelConfig {
  readonly script: readonly number[];
}

const position: ModelConfig["position"] = { kind: "position", name: "none", options: {}, build: () => ({}) };

/** A decoder whose best token at each position is the next one of a script; it fails where the script ends. */
const scripted: ModelFamily<ScriptConfig, ScriptConfig> = defineModel<ScriptConfig, ScriptConfig>({
  family: "scripted",
  modelType: "scripted",
  decoder: true,
  quirks: { prefix: "", unprefixed: [], ignored: [] },
  complete: (config) => config,
  readConfig: () => {
    throw new Error("a script is not read from JSON");
  },
  writeConfig: () => ({}),
  plainSwap: () => ({ attention: full(), position }),
  define: (_, { script, vocabularySize }) => ({
    position: {},
    run({ ids }, { positions, cache }) {
      if (positions.some((at) => at >= script.length)) throw new Error("the script is over");
      const [batch, length] = ids.shape as [number, number];
      const lastHiddenState = tf.tensor3d(Float32Array.from(positions), [batch, length, 1]);
      const nothing = tf.zeros([batch, 1, length, 1]);
      cache?.layer(0).append(nothing, nothing);
      return {
        lastHiddenState,
        toLogits(hidden) {
          const next = tf.gather(tf.tensor1d([...script], "int32"), tf.cast(hidden, "int32"));
          return tf.squeeze(tf.cast(tf.oneHot(next, vocabularySize), "float32"), [-2]);
        },
      };
    },
  }),
});

const bytes = byteTokenizer({ specialTokens: { eos: "<|end|>" } });

/** A model that goes on from a prompt of one token with these. */
function speaker(ids: readonly number[], vocabularySize = 257): Model {
  const sizes = { vocabularySize, maxLength: 4096, width: 1, layers: 1, heads: 1 };
  return scripted({ ...sizes, attention: full(), position, script: ids }, createWeights());
}

async function said(
  model: Model,
  options: Partial<GenerateOptions> = {},
): Promise<{ pieces: string[]; reason: EndReason }> {
  const length = (model.config as ScriptConfig).script.length;
  const stream = generate(model, { prompt: ">", tokenizer: bytes, maxNewTokens: length, ...options });
  const pieces: string[] = [];
  for (;;) {
    const { value, done } = await stream.next();
    if (done) return { pieces, reason: value };
    pieces.push(value);
  }
}

describe("generate", () => {
  useBackend("cpu");
  const speak = (text: string): Model => speaker(bytes.encode(text));

  it("gives whole characters only", async () => {
    expect(await said(speak("aé🙂b"))).toEqual({ pieces: ["a", "é", "🙂", "b"], reason: "length" });
    expect((await said(speak("aé"), { maxNewTokens: 2 })).pieces).toEqual(["a", "\ufffd"]);
  });

  it("ends at the tokenizer's end of sequence", async () => {
    expect(await said(speak("ab<|end|>cd"))).toEqual({ pieces: ["a", "b"], reason: "end" });
    expect((await said(speak("ab<|end|>cd"), { endIds: [] })).pieces.join("")).toBe("abcd");
    expect((await said(speak("abcd"), { endIds: [99] })).pieces.join("")).toBe("ab");
  });

  it("ends before a stop text, of which nothing is given out", async () => {
    const stop = ["END", "🙂é"];
    expect(await said(speak("xENxENDy"), { stop })).toEqual({ pieces: ["x", "ENx"], reason: "stop" });
    expect(await said(speak("a🙂é"), { stop })).toEqual({ pieces: ["a"], reason: "stop" });
    expect(await said(speak("a🙂b"), { stop })).toEqual({ pieces: ["a", "🙂b"], reason: "length" });
    expect(await said(speak("aEN<|end|>"), { stop })).toEqual({ pieces: ["a", "EN"], reason: "end" });
    expect(await said(speak("aEN"), { stop })).toEqual({ pieces: ["a", "EN"], reason: "length" });
    const broken = speaker([97, 0xc3]);
    expect(await said(broken, { stop: ["\ufffd"] })).toEqual({ pieces: ["a"], reason: "stop" });
  });

  it("never chooses an id that the tokenizer lacks", async () => {
    const wide = speaker([97, 300, 98], 301);
    expect((await said(wide, { temperature: 0 })).pieces.join("")).toBe("a\u0000b");
  });

  it("frees all on early exit and when the model throws", async () => {
    const before = tf.memory().numTensors;
    for await (const piece of generate(speak("abc"), { prompt: ">", tokenizer: bytes, maxNewTokens: 3 }))
      if (piece === "b") break;
    expect(tf.memory().numTensors).toBe(before);
    await expect(said(speak("abc"), { maxNewTokens: 4 })).rejects.toThrow("the script is over");
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each<[string, Partial<GenerateOptions>]>([
    ['generate: prompt must have at least one token, got ""', { prompt: "" }],
    [
      "generate: tokenizer must have at most the model's 257 ids, got 258",
      {
        tokenizer: byteTokenizer({ specialTokens: { eos: "<a>", pad: "<b>" } }),
      },
    ],
    ['generate: stop[0] must be a text of 1 character or more, got ""', { stop: [""] }],
    ["generate: maxNewTokens must be an integer >= 1, got 0", { maxNewTokens: 0 }],
    ["generate: prompt must be a text, got undefined", { prompt: undefined as never }],
    ["generate: tokenizer must be a tokenizer, got undefined", { tokenizer: undefined as never }],
    ["generate: endIds must be a list of token ids, got null", { endIds: null as never }],
    ["generate: stop must be a list of texts, got null", { stop: null as never }],
    ["generate: signal must be an AbortSignal, got {}", { signal: {} as never }],
    [
      "generate: options must have only the fields prompt, tokenizer, stop, temperature",
      { ids: [1] } as object,
    ],
  ])("says %s", (message, options) => {
    const tokenizer: Tokenizer = bytes;
    expect(() => generate(speak("a"), { prompt: ">", tokenizer, maxNewTokens: 1, ...options })).toThrow(
      message,
    );
  });
});
