import { readdirSync } from "node:fs";
import { expect, it } from "vitest";
import { standardPatterns } from "./standard-patterns.ts";

it("has every pattern of the folder under the name of its file, and each has a test", () => {
  const all = readdirSync(new URL("./patterns", import.meta.url)).toSorted();
  const [tests, files] = [true, false].map((isTest) =>
    all.filter((file) => file.includes(".test") === isTest),
  );
  expect(Object.keys(standardPatterns).map((name) => `${name}.ts`)).toEqual(files);
  expect(tests).toEqual(files!.map((file) => file.replace(".ts", ".test.ts")));
});
