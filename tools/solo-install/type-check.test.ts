import { describe, expect, it } from "vitest";
import { ownTypeErrors } from "./type-check.ts";

describe("ownTypeErrors", () => {
  const foreign =
    "node_modules/@tensorflow/tfjs-core/dist/hash_util.d.ts(2,49): error TS2304: Cannot find name 'Long'.";
  const dom =
    "../../elsewhere/node_modules/typescript/lib/lib.dom.d.ts(24,1): error TS6200: Definitions conflict.";
  const ours =
    "node_modules/@heddle/core/dist/index.d.ts(1,1): error TS2307: Cannot find module 'x'.\n  Two lines.";
  const theirs = "index.mts(1,26): error TS2307: Cannot find module '@heddle/core'.";

  it("leaves out another publisher's declarations only", () => {
    expect(ownTypeErrors(`${foreign}\n${dom}\n${ours}\n${theirs}\n`)).toEqual([ours, theirs]);
    expect(ownTypeErrors(`${foreign}\n`)).toEqual([]);
  });

  it("keeps an error without a place, and a failure that is none of tsc's errors", () => {
    expect(ownTypeErrors("error TS5023: Unknown compiler option 'x'.")).toHaveLength(1);
    expect(ownTypeErrors("Segmentation fault")).toEqual(["Segmentation fault"]);
    expect(ownTypeErrors("")).toEqual([""]);
  });
});
