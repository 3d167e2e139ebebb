import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { and } from "../expression/pattern.ts";
import { draw } from "../expression/picture.ts";
import { causal } from "./causal.ts";
import { padding } from "./padding.ts";

describe("padding", () => {
  testPattern(padding());
  it("leaves out the keys that are not kept, also for a query that is not", () => {
    const attributes = { key: { keep: Int32Array.of(1, 1, 0, 1, 0) } };
    const options = { queryLength: 5, attributes };
    expect(draw(padding(), options)).toEqual(["##.#.", "##.#.", "##.#.", "##.#.", "##.#."]);
    expect(draw(and(causal(), padding()), options)).toEqual(["#....", "##...", "##...", "##.#.", "##.#."]);
  });
});
