import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { full } from "./full.ts";

describe("full", () => {
  testPattern(full());
  it("sees everything", () => {
    expect(draw(full(), { queryLength: 2, keyLength: 3 })).toEqual(["###", "###"]);
    expect(full().prefixStable).toBe(true);
  });
});
