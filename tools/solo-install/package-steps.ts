import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execute, type NodeBinary } from "./commands.ts";
import { entryPoints } from "./entry-points.ts";
import type { PackedPackage } from "./pack.ts";
import { packingFaults } from "./packed-files.ts";
import { typeCheck } from "./type-check.ts";

/** One thing that must work. It throws an error with the reason otherwise. */
export interface Step {
  readonly name: string;
  run(): Promise<unknown>;
}

/** What the steps of every package share: the workspace, and the Node versions to try. */
export interface StepContext {
  readonly root: string;
  readonly nodes: readonly NodeBinary[];
}

export const npmInstall: readonly string[] = [
  "install",
  "--ignore-scripts",
  "--no-audit",
  "--no-fund",
  "--no-package-lock",
  "--prefer-offline",
  "--loglevel=error",
];

/** What is asked of one packed package, in a folder whose package.json depends on it alone. */
export function packageSteps(target: PackedPackage, folder: string, { root, nodes }: StepContext): Step[] {
  const { name, manifest, tarball, files } = target;
  const entries = entryPoints(name, manifest.exports ?? {}, files);
  const bin = (tool: string): string => join(root, "node_modules/.bin", tool);
  const imports = entries.map((entry, index) => `import * as entry${index} from "${entry}";\n`).join("");
  const uses = entries.map((_, index) => `void entry${index};\n`).join("");
  for (const extension of ["mjs", "mts"]) writeFileSync(join(folder, `index.${extension}`), imports + uses);
  return [
    {
      name: "files",
      async run() {
        const faults = packingFaults(manifest.files ?? [], files);
        if (faults.length > 0) throw new Error(faults.join("\n"));
      },
    },
    { name: "publint", run: () => execute(bin("publint"), ["run", tarball, "--strict"], folder) },
    { name: "attw", run: () => execute(bin("attw"), attwArguments(target, entries), folder) },
    { name: "install", run: () => execute("npm", npmInstall, folder) },
    ...nodes.map(({ path, version }) => ({
      name: `import ${version}`,
      run: () => execute(path, ["index.mjs"], folder),
    })),
    {
      name: "types nodenext",
      run: () => typeCheck(root, folder, { module: "nodenext", moduleResolution: "nodenext" }),
    },
    {
      name: "types bundler",
      run: () => typeCheck(root, folder, { module: "esnext", moduleResolution: "bundler" }),
    },
    ...Object.keys(manifest.bin ?? {}).flatMap((command) =>
      nodes.map(({ path, version }) => ({
        name: `${command} --help ${version}`,
        run: () => execute(path, [join(folder, "node_modules/.bin", command), "--help"], folder),
      })),
    ),
  ];
}

function attwArguments({ name, tarball }: PackedPackage, entries: readonly string[]): string[] {
  const subpaths = entries.map((entry) => `.${entry.slice(name.length)}`);
  return [
    tarball,
    "--profile",
    "esm-only",
    "--no-definitely-typed",
    "--no-color",
    "--entrypoints",
    ...subpaths,
  ];
}
