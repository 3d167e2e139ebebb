import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { attention, full } from "@heddle/attention";
import { createWeights } from "@heddle/core";
import type { WeightTree } from "@heddle/core";
import type { BuiltPosition, Position, PositionShape } from "@heddle/positions";
import { describe, expect, it } from "vitest";
import { drawParameter, expectGradients } from "./expect-gradients.ts";
import type { DirectionRule } from "./expect-gradients.ts";

/** How a position is tested. */
export interface PositionTest {
  /** Makes a position from options, as JSON gives them. */
  readonly make?: (options: never) => Position;
  /** The model that it is built into. @default width 12, 3 heads, 32 positions, table "positions" */
  readonly shape?: PositionShape;
  readonly gradient?: DirectionRule;
}

const [batch, length] = [2, 7] as const;
const once = Int32Array.from({ length }, (_, token) => token);
const eachRow = Int32Array.from({ length: batch * length }, (_, i) => i % length);

/**
 * The laws of a position on the active backend: it is JSON, does something, has the gradients of what it does, takes
 * positions [L] as [B L], and leaves no tensor. Call it inside a `describe` with `useBackend`.
 */
export function testPosition(position: Position, options: PositionTest = {}): void {
  const { make, gradient } = options;
  const { shape = { width: 12, heads: 3, maxLength: 32, table: "positions" } } = options;
  const { heads, width } = shape;
  const headWidth = width / heads;
  const build = (): { weights: WeightTree; built: BuiltPosition } => {
    const weights = createWeights({ seed: 9 });
    return { weights, built: position.build(weights, shape) };
  };

  describe(`position ${position.name}`, () => {
    it("is its name and options, as JSON", () => {
      expect(position.kind).toBe("position");
      expect(position.name).toMatch(/^[a-z0-9-]+$/);
      const options = JSON.parse(JSON.stringify(position.options)) as never;
      expect(options).toEqual(position.options);
      if (make) expect(make(options)).toMatchObject({ name: position.name, options: position.options });
    });

    it("does something, over the same weights each time that it is built", () => {
      const { weights, built } = build();
      expect([built.onEmbedding, built.onQueryKey, built.onScore].some((part) => part !== undefined)).toBe(
        true,
      );
      const names = [...weights.all.keys()];
      position.build(weights, shape);
      expect([...weights.all.keys()]).toEqual(names);
      weights.dispose();
    });

    for (const [part, sizes] of [
      ["onEmbedding", [batch, length, width]],
      ["onQueryKey", [batch, heads, length, headWidth]],
    ] as const)
      it(`${part}, where it has one: keeps the shape, takes [L] as [B L], differentiates, leaves no tensor`, async () => {
        const { weights, built } = build();
        const apply = built[part]?.bind(built);
        const x = drawParameter("x", sizes);
        if (apply) {
          const results = tf.tidy(() => [once, eachRow].map((positions) => apply(x.tensor(), positions)));
          expect(results[0]!.shape).toEqual(sizes);
          const [shared, own] = await Promise.all(results.map((result) => result.data()));
          expect(own).toEqual(shared);
          expect(shared).not.toEqual(await x.tensor().data());
          tf.dispose(results);
          const later = tf.tidy(() =>
            apply(
              x.tensor(),
              once.map((token) => token + 3),
            ),
          );
          expect(await later.data()).not.toEqual(shared);
          later.dispose();
          const before = tf.memory().numTensors;
          for (let i = 0; i < 10; i++) tf.tidy(() => void apply(x.tensor(), once));
          expect(tf.memory().numTensors).toBe(before);
          await expectGradients(() => apply(x.tensor(), eachRow), [x, ...weights.all.values()], gradient);
        }
        x.dispose();
        weights.dispose();
      });

    it("onScore, where it has one: changes attention, differentiates, leaves no tensor", async () => {
      const { weights, built } = build();
      const inputs = ["q", "k", "v"].map((name) => drawParameter(name, [batch, heads, length, headWidth]));
      if (built.onScore) {
        const run = (bring = true): Tensor => {
          const [q, k, v] = inputs.map((input) => input.tensor());
          const modifiers = bring ? built.onScore!() : [];
          return attention({ q: q!, k: k!, v: v!, pattern: full(), modifiers });
        };
        const results = tf.tidy(() => [run(), run(), run(false)]);
        const [first, second, without] = await Promise.all(results.map((result) => result.data()));
        expect(second).toEqual(first);
        expect(without).not.toEqual(first);
        tf.dispose(results);
        const before = tf.memory().numTensors;
        for (let i = 0; i < 10; i++) tf.tidy(() => void run());
        expect(tf.memory().numTensors).toBe(before);
        await expectGradients(run, [...inputs, ...weights.all.values()], gradient);
      }
      for (const input of inputs) input.dispose();
      weights.dispose();
    });
  });
}
