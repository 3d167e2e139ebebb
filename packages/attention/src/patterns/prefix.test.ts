import { describe, expect, it } from "vitest";
import { testPattern } from "@heddle/conformance";
import { draw } from "../expression/picture.ts";
import { prefix } from "./prefix.ts";

describe("prefix", () => {
  testPattern(prefix({ length: 3 }));
  testPattern(prefix({ attribute: "prefix" }));
  it("sees the prefix and what is before", () => {
    expect(draw(prefix({ length: 2 }), 4)).toEqual(["##..", "##..", "###.", "####"]);
    expect(draw(prefix({ length: 0 }), 3)).toEqual(["#..", "##.", "###"]);
  });
  it("takes the prefix of each example from its tokens", () => {
    const attributes = { key: { mine: Int32Array.of(1, 0, 1, 0) } };
    expect(draw(prefix({ attribute: "mine" }), { queryLength: 4, attributes })).toEqual([
      "#.#.",
      "###.",
      "###.",
      "####",
    ]);
  });
  it("rejects a negative length, and both or neither option", () => {
    expect(() => prefix({ length: -1 })).toThrow(
      "prefix: length must be an integer from 0 to 1048576, got -1",
    );
    expect(() => prefix({} as never)).toThrow("prefix must have either a length or an attribute, got {}");
    expect(() => prefix({ length: 1, attribute: "prefix" } as never)).toThrow("prefix must have either");
    expect(() =>
      prefix({ attribute: "__proto__" }).resolve({ heads: 1, queryLength: 1, keyLength: 1 }),
    ).toThrow("prefix: attribute must be letters");
  });
});
