import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { reject } from "./errors.ts";
import { installKernels } from "./kernel.ts";
import { defineOperation, explain, explainRun, kernel, run, withKernels } from "./operation.ts";
import { differentiate } from "./tape.ts";

interface DoubleCall {
  readonly x: Tensor;
  readonly note?: string;
}
const double = defineOperation<DoubleCall>({
  name: "double",
  tensors: ["x"],
  validate: ({ x }) => {
    if (x.shape.length !== 1) reject("double: x", "have one dimension", x.shape);
  },
  forward: ({ x }) => ({ output: tf.mul(x, 2) }),
  gradient: ({ dy }) => ({ x: () => tf.mul(dy, 2) }),
});
const fast = kernel(double, {
  name: "double.fast",
  backend: "cpu",
  unsupported: ({ x, note }) => [
    ...(x.size > 4 ? ["takes at most 4 values"] : []),
    ...(note ? ["does not read notes"] : []),
  ],
  forward: ({ x }) => ({ output: tf.add(x, x) }),
});
const elsewhere = kernel(double, { ...fast, name: "double.elsewhere", backend: "wasm" });
let remove: (() => void) | undefined;

beforeAll(async () => {
  await tf.setBackend("cpu");
});
afterEach(() => remove?.());

describe("run", () => {
  it("validates first", () => {
    expect(() => run(double, { x: tf.scalar(1) })).toThrow("double: x must have one dimension, got []");
  });

  it("takes the first kernel that supports the call, the reference last", () => {
    remove = installKernels("cpu", [elsewhere, fast]);
    const call = { x: tf.tensor1d([1, 2]) };
    expect(explain(double, call).kernel).toBe("double.fast");
    const long = { x: tf.tensor1d([1, 2, 3, 4, 5]), note: "n" };
    const { kernel: name, refused, backend } = explain(double, long);
    expect({ name, refused, backend }).toEqual({
      name: "double.reference",
      refused: [{ kernel: "double.fast", reasons: ["takes at most 4 values", "does not read notes"] }],
      backend: "cpu",
    });
    expect(String(explain(double, long))).toBe(
      "double on cpu: double.reference, not double.fast (takes at most 4 values; does not read notes)",
    );
    remove();
    expect(explain(double, call).kernel).toBe("double.reference");
    expect(explain(double, call).refused).toEqual([]);
  });

  it("passes over a kernel without gradient only while differentiating", () => {
    remove = installKernels("cpu", [fast]);
    const x = tf.tensor1d([3]);
    const chosen: string[] = [];
    differentiate(() => {
      chosen.push(explain(double, { x }).kernel);
      return run(double, { x });
    }, [x]);
    chosen.push(explain(double, { x }).kernel);
    expect(chosen).toEqual(["double.reference", "double.fast"]);
  });

  it("throws for a kernel asked for by name that does not exist or cannot run the call", () => {
    remove = installKernels("cpu", [fast]);
    const x = tf.tensor1d([1, 2, 3, 4, 5]);
    expect(() => withKernels({ double: "double.fast" }, () => run(double, { x }))).toThrow(
      "double: kernel double.fast cannot run this call: takes at most 4 values",
    );
    expect(() => withKernels({ double: "double.slow" }, () => run(double, { x }))).toThrow(
      'double: kernel must be one of double.fast, double.reference on cpu, got "double.slow"',
    );
    expect(() => withKernels({ duoble: "double.reference" }, () => run(double, { x }))).toThrow(
      /^withKernels: kernels must have only the fields .*\bdouble\b.*, got "duoble"$/,
    );
    withKernels({ double: "double.reference" }, () =>
      expect(explain(double, { x: tf.tensor1d([1]) }).kernel).toBe("double.reference"),
    );
  });
});

describe("a kernel that gives its input back", () => {
  it("gets its gradient once", () => {
    const same = kernel(double, {
      ...fast,
      name: "double.same",
      forward: ({ x }) => ({ output: x }),
      gradient: ({ dy }) => ({ x: () => dy }),
    });
    remove = installKernels("cpu", [same]);
    const x = tf.tensor1d([1, 2]);
    const before = tf.memory().numTensors;
    const { value, gradients } = differentiate(() => run(double, { x: run(double, { x }) }), [x]);
    expect([...gradients[0]!.dataSync()]).toEqual([1, 1]);
    tf.dispose([value, gradients[0]!]);
    expect(tf.memory().numTensors).toBe(before);
    x.dispose();
  });
});

describe("explainRun", () => {
  it("tells each choice once, with its calls, and gives the value", () => {
    remove = installKernels("cpu", [fast]);
    const result = explainRun(() => {
      run(double, { x: tf.tensor1d([1]) });
      const inner = explainRun(() => run(double, { x: tf.tensor1d([1, 2, 3, 4, 5]) }));
      expect(inner.choices.map(({ calls }) => calls)).toEqual([1]);
      return run(double, { x: tf.tensor1d([4]) });
    });
    expect(result.value.dataSync()[0]).toBe(8);
    expect(String(result)).toBe(
      "2 x double on cpu: double.fast\n1 x double on cpu: double.reference, not double.fast (takes at most 4 values)",
    );
    expect(() =>
      explainRun(() => {
        throw new Error("from f");
      }),
    ).toThrow("from f");
    expect(run(double, { x: tf.tensor1d([1]) }).dataSync()[0]).toBe(2);
  });
});
