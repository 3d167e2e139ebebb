/** What somebody reads who forgot `startBackend`; in a file of its own, since importing a tfjs backend registers one. */
import { describe, expect, it } from "vitest";
import { requireBackend } from "./backend.ts";
import { HeddleError } from "./errors.ts";
import { activation } from "./operations/activation.ts";
import { createWeights } from "./weights.ts";

describe("without a backend", () => {
  const weights = createWeights();
  const parameter = weights.parameter("wte.weight", { shape: [2] });
  const how = "must run on a backend, started by await startBackend(wasm()) for example, got none";

  it.each<[string, () => unknown]>([
    ["gpt", () => requireBackend("gpt")],
    ["wte.weight", () => parameter.tensor()],
    ["wte.weight", () => parameter.assign(Float32Array.of(1, 2))],
    ["activation", () => activation({ x: { shape: [1] } as never, kind: "relu" })],
  ])("%s says what is missing", (where, attempt) => {
    expect(attempt).toThrow(HeddleError);
    expect(attempt).toThrow(expect.objectContaining({ code: "invalid-state", message: `${where} ${how}` }));
  });

  it("a model is counted and described all the same", () => {
    expect([parameter.size, parameter.filled, [...weights.all.keys()]]).toEqual([2, false, ["wte.weight"]]);
  });
});
