import { kernelRuns, useBackend, watchBindings, withBindingLimit, largestDifference } from "@heddle/conformance";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
describe("x", () => {
  useBackend("webgpu");
  for (const { name, operation, run } of kernelRuns.filter((r) => r.operation !== "attentionMaps")) {
    it(name, async () => {
      const values = async () => {
        const outputs = run();
        const v = await Promise.all(outputs.map((o) => o.data()));
        tf.dispose(outputs);
        return v;
      };
      const t0 = performance.now();
      const whole = await watchBindings(values);
      const most = Math.max(...whole.programs.flat());
      const limit = Math.max(256, Math.ceil(most / 2 / 256) * 256);
      if (most <= limit) { console.log("SKIP", name, most); return; }
      const t1 = performance.now();
      const parts = await withBindingLimit(limit, values);
      console.log("RUN", name, most, limit, whole.programs.length, parts.programs, Math.round(t1-t0), Math.round(performance.now()-t1));
      let worst = 0;
      parts.value.forEach((v, i) => { worst = Math.max(worst, largestDifference(v, whole.value[i]!)); });
      expect(worst).toBe(0);
    });
  }
});
