import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { causal } from "./causal.ts";
import { and } from "../expression/pattern.ts";
import { draw } from "../expression/picture.ts";
import { documents } from "./documents.ts";

const values = Int32Array.of(0, 0, 1, 1, 1);

describe("documents", () => {
  testPattern(documents());
  it("keeps documents apart", () => {
    const attributes = { query: { document: values }, key: { document: values } };
    const options = { queryLength: 5, attributes };
    expect(draw(documents(), options)).toEqual(["##...", "##...", "..###", "..###", "..###"]);
    expect(draw(and(causal(), documents()), options)).toEqual(["#....", "##...", "..#..", "..##.", "..###"]);
  });
  it("reads the attribute that it is told", () => {
    const attributes = { query: { page: values }, key: { page: values } };
    expect(draw(documents({ attribute: "page" }), { queryLength: 5, attributes })[0]).toBe("##...");
    expect(() => draw(documents(), { queryLength: 5, attributes })).toThrow(
      "documents: mask: attributes.query.document must be an Int32Array of 1 x 5 integers, since the pattern reads it, got undefined",
    );
  });
});
