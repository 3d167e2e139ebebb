import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { patternMask } from "../expression/mask.ts";
import { draw } from "../expression/picture.ts";
import { causal } from "./causal.ts";

describe("causal", () => {
  testPattern(causal());
  it("sees itself and what is before it", () => {
    expect(draw(causal(), 4)).toEqual(["#...", "##..", "###.", "####"]);
  });
  it("counts positions from the offset of the call", () => {
    const { bits } = patternMask(causal(), { heads: 1, queryRows: 2, keyLength: 4, queryOffset: 2 });
    expect([...bits]).toEqual([1, 1, 1, 0, 1, 1, 1, 1]);
  });
});
