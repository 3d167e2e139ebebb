import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { HeddleError } from "./errors.ts";
import { activation } from "./operations/activation.ts";
import { linear } from "./operations/linear.ts";
import { residual } from "./operations/residual.ts";
import { differentiate, isDifferentiating, record, withoutTape } from "./tape.ts";

let before = 0;
let x: Tensor;
let weight: Tensor;

beforeAll(async () => {
  await tf.setBackend("cpu");
});
beforeEach(() => {
  before = tf.memory().numTensors;
  x = tf.tensor2d([[1, 2]]);
  weight = tf.tensor2d([
    [0.5, -1],
    [2, 3],
  ]);
});
afterEach(() => {
  x.dispose();
  weight.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(tf.engine().state.gradientDepth).toBe(0);
  expect(tf.engine().state.activeTape ?? null).toBeNull();
});

const values = (tensor: Tensor | null | undefined): number[] => [...tensor!.dataSync()];
const free = (...tensors: (Tensor | null | undefined)[]): void =>
  tensors.forEach((tensor) => tensor?.dispose());

describe("differentiate", () => {
  it("gives the value and the gradient by each variable", () => {
    const { value, gradients } = differentiate(() => linear({ x, weight }), [x, weight]);
    expect(values(value)).toEqual([-1.5, 8]);
    expect(values(gradients[0])).toEqual([2.5, 2]);
    expect(values(gradients[1])).toEqual([1, 2, 1, 2]);
    free(value, ...gradients);
  });

  it("takes a gradient that flows in", () => {
    const dy = tf.tensor2d([[10, 0]]);
    const { value, gradients } = differentiate(() => linear({ x, weight }), [x], dy);
    expect(values(gradients[0])).toEqual([5, -10]);
    free(dy, value, ...gradients);
  });

  it("gives null where the value does not depend on a variable", () => {
    const { value, gradients } = differentiate(() => residual(x, x), [weight, x]);
    expect(gradients[0]).toBeNull();
    expect(values(gradients[1])).toEqual([2, 2]);
    free(value, ...gradients);
  });

  it("computes only the gradients asked for", () => {
    const asked: string[] = [];
    const step = (): Tensor =>
      record({
        inputs: { a: x, b: weight },
        forward: () => tf.mul(x, 2),
        gradient: (dy) => ({
          a: () => (asked.push("a"), tf.mul(dy, 2)),
          b: () => (asked.push("b"), tf.zerosLike(weight)),
        }),
      });
    const { value, gradients } = differentiate(step, [x]);
    expect(asked).toEqual(["a"]);
    free(value, ...gradients);
  });

  it("keeps a gradient that is passed on unchanged through several sums", () => {
    // y = ((x + x) + x) + x: each residual hands dy itself to both sides.
    const { value, gradients } = differentiate(() => residual(residual(residual(x, x), x), x), [x]);
    expect(values(gradients[0])).toEqual([4, 4]);
    free(value, ...gradients);
  });

  it("nests in the forward and in the backward pass", () => {
    const checkpointed = (input: Tensor): Tensor =>
      record({
        inputs: { input },
        forward: (save) => {
          save([input]);
          return activation({ x: input, kind: "tanh" });
        },
        gradient: (dy, [saved]) => ({
          input: () => {
            const again = differentiate(() => activation({ x: saved!, kind: "tanh" }), [saved!], dy);
            again.value.dispose();
            return again.gradients[0]!;
          },
        }),
      });
    const plain = differentiate(() => linear({ x: activation({ x, kind: "tanh" }), weight }), [x, weight]);
    const nested = differentiate(() => {
      const inner = differentiate(() => residual(x, x), [x]);
      expect(values(inner.gradients[0])).toEqual([2, 2]);
      expect(isDifferentiating()).toBe(true);
      return linear({ x: checkpointed(x), weight });
    }, [x, weight]);
    nested.gradients.forEach((gradient, i) => expect(values(gradient)).toEqual(values(plain.gradients[i])));
    free(plain.value, ...plain.gradients, nested.value, ...nested.gradients);
  });

  it("frees everything when f throws", () => {
    const f = (): Tensor => {
      residual(linear({ x, weight }), x);
      throw new Error("from f");
    };
    expect(() => differentiate(f, [x])).toThrow("from f");
  });

  it("frees everything when a gradient throws", () => {
    const bad = (input: Tensor): Tensor =>
      record({
        inputs: { input },
        forward: (save) => (save([input]), tf.mul(input, 1)),
        gradient: () => ({
          input: () => {
            throw new Error("from a gradient");
          },
        }),
      });
    expect(() => differentiate(() => residual(bad(linear({ x, weight })), x), [x])).toThrow(
      "from a gradient",
    );
  });

  it("refuses a plain tfjs operation on the way, by its name", () => {
    const attempt = (): unknown => differentiate(() => tf.exp(linear({ x, weight })), [x]);
    expect(attempt).toThrow(HeddleError);
    expect(attempt).toThrow("got the tfjs operation Exp, which has no gradient here");
  });

  it("refuses an empty list and a variable as the value", () => {
    expect(() => differentiate(() => x, [])).toThrow("differentiate: variables must hold at least one");
    expect(() => differentiate(() => x, [x])).toThrow(
      "differentiate: f must return the result of an operation",
    );
  });

  it("refuses what is no tensor as the value, and a gradient that does not fit it", () => {
    const none: () => unknown = () => undefined;
    expect(() => differentiate(none as () => Tensor, [x])).toThrow("differentiate: f must return a tensor");
    for (const shape of [[], [1, 3], [2]]) {
      const dy = tf.ones(shape);
      expect(() => differentiate(() => linear({ x, weight }), [weight], dy)).toThrow(
        `differentiate: dy must have shape [1, 2], got [${shape.join()}]`,
      );
      dy.dispose();
    }
  });
});

describe("withoutTape", () => {
  it("records nothing and restores the tape", () => {
    const { value, gradients } = differentiate(() => {
      withoutTape(() => expect(isDifferentiating()).toBe(false));
      return linear({ x: withoutTape(() => residual(x, x)), weight });
    }, [x, weight]);
    expect(gradients[0]).toBeNull();
    expect(values(gradients[1])).toEqual([2, 4, 2, 4]);
    free(value, ...gradients);
  });
});
