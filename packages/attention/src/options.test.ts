import { HeddleError } from "@heddle/core";
import { describe, expect, it } from "vitest";
import { attentionMaps } from "./maps.ts";
import { draw } from "./expression/picture.ts";
import { causal } from "./patterns/causal.ts";
import { longformer } from "./mechanisms/longformer.ts";
import { softCap } from "./modifiers/soft-cap.ts";
import { bigBird } from "./patterns/big-bird.ts";
import { blockTable } from "./patterns/block-table.ts";
import { dilated } from "./patterns/dilated.ts";
import { documents } from "./patterns/documents.ts";
import { fixed } from "./patterns/fixed.ts";
import { globalTokens } from "./patterns/global-tokens.ts";
import { prefix } from "./patterns/prefix.ts";
import { slidingWindow } from "./patterns/sliding-window.ts";
import { strided } from "./patterns/strided.ts";

/** Functions of options, as JavaScript may call them. */
const makers: Readonly<Record<string, (options: never) => unknown>> = {
  bigBird,
  blockTable,
  dilated,
  documents,
  fixed,
  globalTokens,
  longformer,
  prefix,
  slidingWindow,
  softCap,
  strided,
  draw: (options) => draw(causal(), options),
};

describe.each(Object.entries(makers))("%s", (name, make) => {
  it.each([undefined, null, 7, "causal"])("says so where its options are %j", (options) => {
    // These two have a meaning.
    if ((name === "documents" && options === undefined) || (name === "draw" && options === 7)) return;
    expect(() => make(options as never)).toThrow(HeddleError);
    expect(() => make(options as never)).toThrow(`${name}: options must be an object of `);
  });

  it("refuses an option that it does not have", () => {
    expect(() => make({ befor: 1 } as never)).toThrow(
      /^\w+: options must have only the fields .*got "befor"$/,
    );
  });
});

describe("attentionMaps", () => {
  it("refuses a misspelt selection", () => {
    expect(() => attentionMaps({} as never, { head: [0] } as never)).toThrow(
      'attentionMaps: selection must have only the fields heads, rows, got "head"',
    );
  });
});
