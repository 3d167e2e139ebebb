import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { standardPatterns } from "./standard-patterns.ts";

it("has every pattern of the folder under the name of its file", () => {
  const files = readdirSync(new URL("./patterns", import.meta.url)).filter((file) => !file.includes(".test"));
  expect(Object.keys(standardPatterns).map((name) => `${name}.ts`)).toEqual(files.toSorted());
});
