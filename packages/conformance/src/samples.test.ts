import { readdirSync } from "node:fs";
import { createRegistry } from "@heddle/core";
import { standard } from "@heddle/models";
import { expect, it } from "vitest";
import { attentionSamples, mechanismSamples, positionSamples } from "./causality.ts";
import { goldenFamilies } from "./golden-families.ts";
import { patternSamples } from "./pattern-samples.ts";
import { tileCases } from "./tile-cases.ts";

const registry = createRegistry(standard);
const joined = ["and", "not", "or"];
const namesOf = (parts: readonly { readonly name: string }[]): string[] =>
  [...new Set(parts.map(({ name }) => name))].toSorted();

/** The files of a folder that make a part: those that are no test and not the folder's own. */
function filesOf(folder: string, besides: readonly string[] = []): string[] {
  const files = readdirSync(new URL(`../../${folder}`, import.meta.url)).filter((file) =>
    file.endsWith(".ts"),
  );
  const names = files.filter((file) => !/\.test(-d)?\.ts$/.test(file)).map((file) => file.slice(0, -3));
  return names.filter((name) => !besides.includes(name)).toSorted();
}

// What is missing here goes unmeasured: causality, kernels and tile status run over these lists.
it("causality, attention and tile status are measured over every named pattern", () => {
  const names = registry.names("patterns").filter((name) => !joined.includes(name));
  expect(namesOf(patternSamples)).toEqual(names);
  expect(namesOf(tileCases())).toEqual(names);
});

it("causality is measured over every mechanism and every position, joined patterns among them", () => {
  expect(namesOf(mechanismSamples)).toEqual(registry.names("mechanisms"));
  expect(namesOf(positionSamples)).toEqual(registry.names("positions"));
  const names = namesOf(attentionSamples().flat());
  expect(names).toEqual([...registry.names("patterns"), ...registry.names("mechanisms")].toSorted());
});

it("the registry has every file of the folders of mechanisms, modifiers and positions", () => {
  expect(registry.names("mechanisms")).toEqual(filesOf("attention/src/mechanisms"));
  expect(registry.names("modifiers")).toEqual(filesOf("attention/src/modifiers"));
  expect(registry.names("positions")).toEqual(filesOf("positions/src", ["index", "position"]));
});

it("every family of models is compared with PyTorch", () => {
  expect(goldenFamilies.map(({ family }) => family.family).toSorted()).toEqual(registry.names("models"));
});
