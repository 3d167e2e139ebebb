import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { createKeyValueCache, full } from "@heddle/attention";
import type { AttentionMechanism, TokenAttributes } from "@heddle/attention";
import { createWeights, differentiate, randomStream } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { attentionLayer } from "./attention-layer.ts";
import { drawParameter, expectGradients } from "./expect-gradients.ts";
import type { DirectionRule } from "./expect-gradients.ts";
import { largestDifference } from "./difference.ts";
import { drawAttributes } from "./random-attention.ts";

/** The layer that a mechanism is tested in. */
export interface MechanismTest {
  /** @default 4 */
  readonly heads?: number;
  /** @default 2 */
  readonly keyHeads?: number;
  /** @default 3 */
  readonly headWidth?: number;
  /** Tokens of the sequence. @default 11 */
  readonly length?: number;
  /** Attributes of two batch rows. @default drawn: keep, document, global, prefix */
  readonly attributes?: TokenAttributes;
  readonly gradient?: DirectionRule;
  /** Greatest difference where results must be equal but need not be computed in the same order. @default 1e-5 */
  readonly within?: number;
}

/**
 * The laws of a mechanism, in a self-attention layer on the active backend: what it says it can do it does, and what
 * it cannot do is refused by name. Call it inside a `describe` with `useBackend`.
 */
export function testMechanism(mechanism: AttentionMechanism, options: MechanismTest = {}): void {
  const { heads = 4, keyHeads = 2, headWidth = 3, length = 11, gradient, within = 1e-5 } = options;
  const { attributes = drawAttributes(2, length, length, 4) } = options;
  const width = heads * headWidth;
  const spec = { width, heads, keyHeads };
  const input = (path = "x"): Tensor =>
    tf.tensor3d(randomStream({ seed: 6, path }).normals(2 * length * width), [2, length, width]);
  const forms = mechanism.capabilities.causal ? [false, true] : [false];

  /** Changes one token of every batch row. */
  const changed = (x: Tensor, token: number): Tensor => {
    const mask = tf.reshape(tf.oneHot(tf.tensor1d([token], "int32"), length), [1, length, 1]);
    return tf.add(x, tf.mul(tf.cast(mask, "float32"), 1.5));
  };
  const rowsOf = (values: ArrayLike<number>, b: number, token: number): number[] =>
    Array.from({ length: width }, (_, i) => values[(b * length + token) * width + i]!);

  describe(`mechanism ${mechanism.name}`, () => {
    it("is its name and options, as JSON", () => {
      expect(mechanism.kind).toBe("mechanism");
      expect(mechanism.name).toMatch(/^[a-z0-9-]+$/);
      expect(JSON.parse(JSON.stringify(mechanism.options))).toEqual(mechanism.options);
      expect(mechanism.options).not.toHaveProperty("name");
    });

    it.each(forms)(
      "gives [B, L, H D], the same each time, and leaves no tensor (causal: %s)",
      async (causal) => {
        const layer = attentionLayer(mechanism, { ...spec, causal });
        const results = tf.tidy(() => [0, 1].map(() => layer.forward(input(), { attributes })));
        expect(results[0]!.shape).toEqual([2, length, width]);
        const [first, second] = await Promise.all(results.map((result) => result.data()));
        expect(first!.every(Number.isFinite)).toBe(true);
        expect(second).toEqual(first);
        tf.dispose(results);
        const before = tf.memory().numTensors;
        for (let i = 0; i < 10; i++) tf.tidy(() => void layer.forward(input(), { attributes }));
        expect(tf.memory().numTensors).toBe(before);
        layer.weights.dispose();
      },
    );

    it.each(forms)(
      "has the gradients of its values, by x and by each parameter (causal: %s)",
      async (causal) => {
        const layer = attentionLayer(mechanism, { ...spec, causal });
        const x = drawParameter("x", [2, length, width]);
        const run = (): Tensor => layer.forward(x.tensor(), { attributes });
        // A call may leave some parameters out: global ones where no token is global.
        const { value, gradients } = differentiate(run, layer.parameters);
        const used = layer.parameters.filter((_, i) => gradients[i]);
        tf.dispose([value, ...gradients.filter((slope) => slope !== null)]);
        expect(used.length).toBeGreaterThan(0);
        await expectGradients(run, [x, ...used], gradient);
        x.dispose();
        layer.weights.dispose();
      },
    );

    it("starts the weights that it adds to a model as it declares, and shares the others", async () => {
      const base = createWeights({ seed: 3 });
      attentionLayer(full(), spec, base);
      const [one, two] = [base.overlay(), base.overlay()];
      for (const overlay of [one, two]) attentionLayer(mechanism, spec, overlay);
      expect(two.added).toEqual(one.added);
      for (const name of one.added) {
        const [a, b] = [one.all.get(name)!, two.all.get(name)!];
        const values = await a.tensor().data();
        expect(values.every(Number.isFinite), name).toBe(true);
        expect(await b.tensor().data(), name).toEqual(values);
        expect(base.has(name)).toBe(false);
      }
      for (const name of base.all.keys()) expect(one.all.get(name)).toBe(base.all.get(name));
      for (const tree of [one, two, base]) tree.dispose();
    });

    it.each(forms)("lets padding have no influence on what is kept (causal: %s)", async (causal) => {
      const layer = attentionLayer(mechanism, { ...spec, causal });
      const keep = Int32Array.from({ length: 2 * length }, (_, i) =>
        Number(i < length - 2 || i >= length + 3),
      );
      const context = {
        padded: true,
        attributes: {
          batch: 2,
          query: { ...attributes.query, keep },
          key: { ...attributes.key, keep },
        },
      };
      const results = tf.tidy(() => {
        const x = input();
        const padding = tf.tensor3d(
          Float32Array.from(keep, (kept) => (kept ? 0 : 1.5)),
          [2, length, 1],
        );
        return [x, tf.add(x, padding)].map((each) => layer.forward(each, context));
      });
      const [first, second] = await Promise.all(results.map((result) => result.data()));
      keep.forEach((kept, at) => {
        const [b, token] = [Math.floor(at / length), at % length];
        if (kept)
          expect(largestDifference(rowsOf(second!, b, token), rowsOf(first!, b, token))).toBeLessThan(within);
      });
      tf.dispose(results);
      layer.weights.dispose();
    });

    if (mechanism.capabilities.causal)
      it("cannot see the future in a decoder, to the last bit", async () => {
        const layer = attentionLayer(mechanism, { ...spec, causal: true });
        const tokens = [1, Math.floor(length / 2), length - 1];
        const results = tf.tidy(() => {
          const x = input();
          return [x, ...tokens.map((token) => changed(x, token))].map((each) =>
            layer.forward(each, { attributes }),
          );
        });
        const [before, ...after] = await Promise.all(results.map((result) => result.data()));
        tokens.forEach((token, i) => {
          for (const b of [0, 1])
            for (let row = 0; row < token; row++)
              expect(rowsOf(after[i]!, b, row), `row ${row} after a change of token ${token}`).toEqual(
                rowsOf(before!, b, row),
              );
        });
        tf.dispose(results);
        layer.weights.dispose();
      });
    else
      it("is refused in a decoder by name", () => {
        expect(() => attentionLayer(mechanism, { ...spec, causal: true })).toThrow(
          `mechanism ${mechanism.name} must have a causal form to be used in a decoder, and has none`,
        );
      });

    if (!mechanism.capabilities.cache)
      it("is refused with a cache by name", () => {
        const layer = attentionLayer(mechanism, spec);
        const cache = createKeyValueCache({ layers: 1, batch: 2, capacity: length });
        expect(() => tf.tidy(() => layer.forward(input(), { attributes, cache }))).toThrow(
          `mechanism ${mechanism.name} does not work with a cache: run without one`,
        );
        layer.weights.dispose();
      });

    if (!mechanism.capabilities.maps)
      it("is refused by name when maps are asked of it", () => {
        const layer = attentionLayer(mechanism, spec);
        const maps = { wants: () => true, give: () => undefined };
        expect(() => tf.tidy(() => layer.forward(input(), { attributes, maps }))).toThrow(
          `mechanism ${mechanism.name} gives no attention maps`,
        );
        layer.weights.dispose();
      });
  });
}
