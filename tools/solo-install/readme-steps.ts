import { readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { readDocumentation } from "../docs-test/examples.ts";
import { execute, type NodeBinary } from "./commands.ts";
import { npmInstall, type Step } from "./package-steps.ts";

/** What the README tells a reader to install. */
export function readmeInstalls(readme: string): readonly string[] {
  return readDocumentation(readFileSync(readme, "utf8")).installs;
}

/** Runs each runnable example of the README under each Node, after installing what the README says, no more. */
export function readmeSteps(readme: string, folder: string, nodes: readonly NodeBinary[]): Step[] {
  const { examples, unmarked, installs } = readDocumentation(readFileSync(readme, "utf8"));
  return [
    {
      name: "examples",
      async run() {
        if (examples.length === 0 || installs.length === 0)
          throw new Error("README.md: must have an `npm i …` line in a sh block and a block marked `ts run`");
        if (unmarked.length > 0)
          throw new Error(`README.md: blocks in lines ${unmarked} are not marked \`ts run\``);
      },
    },
    { name: "install", run: () => execute("npm", npmInstall, folder) },
    ...examples.flatMap(({ heading, line, code }, index) => {
      const file = join(folder, `example-${index}.mjs`);
      writeFileSync(file, stripTypeScriptTypes(code));
      return nodes.map(({ path, version }) => ({
        name: `line ${line} "${heading}" ${version}`,
        run: () => execute(path, [file], folder),
      }));
    }),
  ];
}
