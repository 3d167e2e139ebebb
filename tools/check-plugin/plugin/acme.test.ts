/** The plugin's own tests: Heddle's suite. */
import { attentionOperation, causal, full } from "@heddle/attention";
import { testKernel, testMechanism, testPattern, testPosition, useBackend } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe } from "vitest";
import { everyThird, fading, shortKernel, shortcut } from "./acme.ts";

const draw = (shape: number[], path: string): tf.Tensor =>
  tf.tensor(randomStream({ seed: 1, path }).normals(shape.reduce((a, b) => a * b, 1)), shape);
const call = (length: number) => ({
  q: draw([2, 3, length, 8], "q"),
  k: draw([2, 3, length, 8], "k"),
  v: draw([2, 3, length, 8], "v"),
});

describe("every-third", () => {
  testPattern(everyThird(), { factories: { "every-third": everyThird } });
});

describe.each(["cpu", "wasm", "webgpu"] as const)("on %s", (backend) => {
  useBackend(backend);
  testPosition(fading({ rate: 0.5 }));
  testMechanism(shortcut());
  testKernel(attentionOperation, shortKernel, [
    { name: "full", make: () => ({ ...call(7), pattern: full() }) },
    { name: "causal", make: () => ({ ...call(33), pattern: causal() }) },
    { name: "every-third", make: () => ({ ...call(64), pattern: everyThird() }) },
    { name: "too long", make: () => ({ ...call(65), pattern: full() }), supported: false },
  ]);
});
