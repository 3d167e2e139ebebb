import { expect, it } from "vitest";
import { relativeBias } from "./relative-bias.ts";
import { rotary } from "./rotary.ts";
import { sinusoidal, sinusoids } from "./sinusoidal.ts";

it.each<[string, (options: never) => unknown]>([
  ["relativeBias", relativeBias],
  ["rotary", rotary],
  ["sinusoidal", sinusoidal],
  ["sinusoids", (options) => sinusoids(Int32Array.of(0), 2, options)],
])("%s refuses a misspelt option and null", (name, make) => {
  expect(() => make({ bas: 1 } as never)).toThrow(
    new RegExp(`^${name}: options must have only the fields .+"bas"$`),
  );
  expect(() => make(null as never)).toThrow(`${name}: options must be an object of `);
});

it("relativeBias says that its options are missing", () => {
  expect(() => relativeBias(undefined as never)).toThrow(
    "relativeBias: options must be an object of maxDistance, got undefined",
  );
});
