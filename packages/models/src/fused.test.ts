import { full, longformer as longformerAttention } from "@heddle/attention";
import { largestDifference, useBackend } from "@heddle/conformance";
import { activeBackend, createWeights, crossEntropy, differentiate, explainRun } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it, vi } from "vitest";
import { bert } from "./bert/bert.ts";
import { gpt } from "./gpt/gpt.ts";
import { loadModel } from "./load-model.ts";
import { longformer } from "./longformer/longformer.ts";
import type { ForwardOptions, Model } from "./model.ts";

const families = [gpt, bert, longformer];
const options = { vocabularySize: 11, maxLength: 12, width: 8, layers: 2, heads: 2, dropout: 0.5 };
const inputs = { ids: [[1, 2, 3, 4, 5, 6]], globalAttentionMask: [[0, 1, 0, 0, 0, 0]] };
const withGlobals = longformerAttention({ window: 2 });
const training = { seed: 1, step: 2 };

/** How often each operation ran. */
function runs(f: () => unknown): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { explanation, calls } of explainRun(f).choices)
    counts[explanation.operation] = (counts[explanation.operation] ?? 0) + calls;
  return counts;
}

async function hidden(model: Model): Promise<number[]> {
  const out = model.forward(inputs, { logits: "none" });
  const values = [...(await out.lastHiddenState.data())];
  out.dispose();
  return values;
}

const valuesOf = (model: Model): Record<string, number[]> =>
  Object.fromEntries(
    [...model.weights.all].map(([name, parameter]) => [
      name,
      tf.tidy(() => [...parameter.tensor().dataSync()]),
    ]),
  );

describe.each(["cpu", "wasm"] as const)("fused operations on %s", (backend) => {
  useBackend(backend);
  const packs = backend === "wasm";

  it.each([
    // The position is a residual of its own. A layer: projections, output, up and down.
    ["gpt", gpt, { linear: 2 * 4, residual: 1, layerNorm: 2 * 2 + 1 }, { residual: 1 + 2 * 2 }],
    [
      "bert",
      bert,
      { linear: 2 * (packs ? 4 : 6) + 1, residual: 2, layerNorm: 2 * 2 + 1 },
      { residual: 2, linear: 2 * 6 + 1 },
    ],
  ] as const)("%s runs few of them: residuals are part of others", (_, family, plain, differentiating) => {
    const model = family(options, createWeights({ seed: 1 })) as Model;
    const pass = (more: ForwardOptions): void => model.forward(inputs, { logits: "none", ...more }).dispose();
    expect(runs(() => pass({}))).toMatchObject(plain);
    const train = (): void => {
      const { value, gradients } = differentiate(
        () => model.forward(inputs, { logits: "none", training }).lastHiddenState,
        model.parameters,
      );
      tf.dispose([value, ...gradients.filter((gradient) => gradient !== null)]);
    };
    expect(runs(train)).toMatchObject(differentiating);
    model.dispose();
  });

  it.each(families.map((family) => [family.family, family] as const))(
    "%s keeps its values, whatever reads and changes them between passes",
    async (_, family) => {
      const model = family(options, createWeights({ seed: 1 })) as Model;
      const values = valuesOf(model);
      const expected = await hidden(model);
      const held = activeBackend()!.memory().tensors;
      expect(await hidden(model)).toEqual(expected);
      expect(valuesOf(model)).toEqual(values);
      expect(await hidden(model)).toEqual(expected);
      expect(activeBackend()!.memory().tensors, "held after it was packed again").toBe(held);

      const files = new Map<string, Blob>();
      await model.save(files);
      const again = (await loadModel(files, { families })).model;
      expect(await hidden(again)).toEqual(expected);
      again.dispose();

      // The swap's own projections start from those of the model, which are packed by now.
      await hidden(model);
      const swapped = model.with({ attention: withGlobals });
      const seen = await hidden(swapped);
      expect(await hidden(swapped)).toEqual(seen);
      expect(valuesOf(swapped)).toMatchObject(values);
      swapped.dispose();
      expect(await hidden(model)).toEqual(expected);
      const other = model.with({ attention: full() });
      await hidden(other);
      other.dispose();
      expect(await hidden(model)).toEqual(expected);
      model.dispose();
    },
  );

  it.each(families.map((family) => [family.family, family] as const))(
    "%s packs the weights that it has before a pass takes memory, once",
    async (_, family) => {
      const model = family(options, createWeights({ seed: 1 })) as Model;
      const packed = (): number => activeBackend()!.memory().packed ?? 0;
      model.weights.pack();
      expect([...model.weights.all.values()].some(({ filled }) => filled)).toBe(false);
      model.weights.dispose();

      const filled = family(options, createWeights({ seed: 1 })) as Model;
      valuesOf(filled);
      const { value, gradients } = differentiate(() => {
        filled.weights.pack();
        return filled.forward(inputs, { logits: "none" }).lastHiddenState;
      }, filled.parameters);
      tf.dispose([value, ...gradients.filter((gradient) => gradient !== null)]);
      expect(packed()).toBe(0);
      const { packing } = activeBackend()!;
      const pack = packing && vi.spyOn(packing, "pack");
      const held = tf.memory().numTensors;
      const alive: number[] = [];
      pack?.mockImplementation((...call) => {
        alive.push(tf.memory().numTensors);
        pack.mockRestore();
        return packing!.pack(...call);
      });
      await hidden(filled);
      pack?.mockRestore();
      // The first of them, beside which what is joined may lie.
      expect(alive.length).toBe(packs ? 1 : 0);
      expect(Math.max(held, ...alive)).toBeLessThanOrEqual(held + 1);

      const ahead = packed();
      expect(ahead > 0).toBe(packs);
      valuesOf(filled);
      filled.weights.pack();
      expect(packed(), "weights that were read since").toBe(0);
      filled.dispose();
    },
  );

  it.each(families.map((family) => [family.family, family] as const))(
    "%s takes no more memory at a time with more layers",
    async (_, family) => {
      /** Bytes of the pass alone, at its peak. */
      const peak = async (layers: number, more: ForwardOptions = {}): Promise<number> => {
        const model = family({ ...options, layers, maxLength: 64 }, createWeights({ seed: 1 })) as Model;
        const pass = (): void =>
          model
            .forward({ ids: [Array.from({ length: 64 }, () => 3)] }, { logits: "none", ...more })
            .dispose();
        pass();
        const { numBytes } = tf.memory();
        const { peakBytes } = await tf.profile(pass);
        model.dispose();
        return peakBytes - numBytes;
      };
      const state = 4 * 64 * options.width;
      expect(await peak(2)).toBe(await peak(6));
      expect(await peak(2, { hiddenStates: true })).toBe((await peak(6, { hiddenStates: true })) - 4 * state);
      // Wider by four inside: the layer's input, what its attention gave, what is inside and comes out, and its norm.
      if (packs) expect(await peak(2)).toBeLessThan(9 * state);
    },
  );

  it("bert computes with a projection that was changed alone", async () => {
    const [one, two] = [1, 2].map(() => bert(options, createWeights({ seed: 1 })) as Model) as [Model, Model];
    const name = "encoder.layer.0.attention.self.key";
    const change = (model: Model): void => {
      model.weights.all.get(`${name}.weight`)!.assign(new Float32Array(64).fill(0.1));
      model.weights.all.get(`${name}.bias`)!.assign(new Float32Array(8).fill(0.2));
    };
    const before = await hidden(one);
    change(one);
    change(two);
    const after = await hidden(one);
    expect(after).not.toEqual(before);
    expect(after).toEqual(await hidden(two));
    one.dispose();
    two.dispose();
  });

  it("bert gives in training without dropout what it gives outside", async () => {
    const model = bert({ ...options, dropout: 0 }, createWeights({ seed: 1 })) as Model;
    const outside = model.forward(inputs);
    const labels = new Int32Array(6).fill(3);
    const loss = tf.tidy(() => crossEntropy({ logits: outside.logits!, labels }));
    const { value, gradients } = differentiate(
      () => crossEntropy({ logits: model.forward(inputs, { training }).logits!, labels }),
      model.parameters,
    );
    expect(largestDifference(await value.data(), await loss.data())).toBeLessThan(1e-5);
    tf.dispose([value, loss, ...gradients.filter((gradient) => gradient !== null)]);
    outside.dispose();
    model.dispose();
  });
});

describe("a pass for which there is no room", () => {
  useBackend("wasm");

  /** Runs `f` with fewer places of the heap than it needs, from none on, until it has enough. */
  function withTooLittleRoom(f: () => void, after: () => void): void {
    type Allocator = Record<"_malloc", (bytes: number) => number>;
    const { wasm: module } = tf.backend() as unknown as { wasm: Allocator };
    const { _malloc: allocate } = module;
    for (let room = 0, isEnough = false; !isEnough; room++) {
      let left = room;
      const spy = vi.spyOn(module, "_malloc").mockImplementation((bytes) => {
        if (left-- === 0) throw new Error("no room");
        return allocate(bytes);
      });
      try {
        f();
        isEnough = true;
      } catch (error) {
        expect(String(error)).toContain("no room");
      } finally {
        spy.mockRestore();
      }
      after();
    }
  }

  it.each([
    ["gpt", gpt],
    ["bert", bert],
  ] as const)("%s packs its weights and unpacks them, and loses nothing", (_, family) => {
    const model = family(options, createWeights({ seed: 1 })) as Model;
    const pass = (): number[] => {
      const out = model.forward(inputs, { logits: "none", hiddenStates: true, attentionMaps: {} });
      const values = [...out.lastHiddenState.dataSync()];
      out.dispose();
      return values;
    };
    const { memory } = activeBackend()!;
    const values = valuesOf(model);
    const expected = pass();
    const packed = memory().tensors;
    valuesOf(model);
    const plain = memory().tensors;
    const check = (): void => {
      expect(pass()).toEqual(expected);
      expect(memory().tensors).toBe(packed);
      expect(valuesOf(model)).toEqual(values);
      expect(memory().tensors).toBe(plain);
    };
    withTooLittleRoom(pass, check);
    withTooLittleRoom(
      () => void valuesOf(model),
      () => {
        check();
        pass();
      },
    );
    model.dispose();
  });
});
