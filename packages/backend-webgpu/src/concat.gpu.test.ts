import { concatCases, drawn, testKernel, useBackend, withBindingLimit } from "@heddle/conformance";
import { concat, concatOperation, differentiate } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { concatWebGpu } from "./concat.ts";

describe("concat on webgpu", () => {
  useBackend("webgpu");
  testKernel(concatOperation, concatWebGpu, concatCases, { forward: 0, gradient: 0 });

  it.each([0, 1])("is seen in parts beyond the binding limit: along dimension %i", async (axis) => {
    const parts = [70, 90].map((length, i) => drawn(`part ${i}`, axis === 0 ? [length, 40] : [40, length]));
    const dy = drawn("dy", axis === 0 ? [160, 40] : [40, 160]);
    const results = (): tf.Tensor[] => {
      const { value, gradients } = differentiate(() => concat(parts, axis), parts, dy);
      return [value, ...gradients.map((gradient) => gradient!)];
    };
    const values = (tensors: readonly tf.Tensor[]) => Promise.all(tensors.map((one) => one.data()));
    const [whole, apart] = [results(), withBindingLimit(8192, results)];
    expect(await values(apart)).toEqual(await values(whole));
    tf.dispose([...parts, dy, ...whole, ...apart]);
  });
});
