import { globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join, posix } from "node:path";
import { importsOf } from "./imports.ts";
import {
  type Manifest,
  readManifest,
  readWorkspace,
  splitSpecifier,
  type WorkspacePackage,
} from "./workspace.ts";

/**
 * What breaks the layering, one sentence each. A package imports what its package.json declares, from lower
 * layers only, through `exports`, and never by a relative path out of its folder. Tests may import the dev layer
 * and the root's devDependencies besides. tools/ may import everything, by name; an application, which is part of
 * this repository as they are, may import tools/ by path.
 */
export function findViolations(root: string): string[] {
  const packages = readWorkspace(root);
  const rootManifest = readManifest(join(root, "package.json"));
  const tools: WorkspacePackage = { folder: "tools", manifest: rootManifest, layer: "dev" };
  const violations: string[] = [];
  for (const from of [...packages.values(), tools])
    for (const file of sourcesOf(root, from.folder)) {
      const isTest = /\.test(-d)?\.[mc]?tsx?$/.test(file);
      for (const specifier of importsOf(file, readFileSync(join(root, file), "utf8"))) {
        const reasons = specifier.startsWith(".")
          ? reasonsAgainstPath(file, specifier, from)
          : reasonsAgainstName(specifier, from, { isTest, packages, rootManifest });
        violations.push(...reasons.map((reason) => `${file}: "${specifier}" ${reason}`));
      }
    }
  return violations;
}

function sourcesOf(root: string, folder: string): string[] {
  const exclude = ["**/node_modules/**", "**/dist/**", "**/out-tsc/**"];
  const files = globSync(`${folder}/**/*.{ts,tsx,mts,js,mjs}`, { cwd: root, exclude });
  return files.map((file) => file.replaceAll("\\", "/")).toSorted();
}

function reasonsAgainstPath(file: string, specifier: string, { folder, layer }: WorkspacePackage): string[] {
  const target = posix.join(posix.dirname(file), specifier);
  const allowed = layer === "app" ? [folder, "tools"] : [folder];
  return allowed.some((place) => target.startsWith(`${place}/`)) ? [] : [`leaves ${folder}`];
}

interface Surroundings {
  readonly isTest: boolean;
  readonly packages: ReadonlyMap<string, WorkspacePackage>;
  readonly rootManifest: Manifest;
}

function reasonsAgainstName(
  specifier: string,
  from: WorkspacePackage,
  { isTest, packages, rootManifest }: Surroundings,
): string[] {
  // What follows a question mark is for bundlers.
  const [name, subpath] = splitSpecifier(specifier.replace(/\?.*/, ""));
  const to = packages.get(name);
  if (isBuiltin(specifier) || name === from.manifest.name) return [];
  const reasons: string[] = [];
  const isFree = from.layer === "dev" || from.layer === "app";
  if (to && !isExported(subpath, to.manifest.exports ?? {}))
    reasons.push("is not in the exports of that package");
  if (to?.layer === "app") reasons.push("is an application: nothing may import it");
  else if (to?.layer === "dev" && !isTest && !isFree)
    reasons.push("is of the dev layer: only tests may import it");
  else if (to && to.layer !== "dev" && !isFree && !(Number(to.layer) < Number(from.layer)))
    reasons.push(`is of layer ${to.layer}, which layer ${from.layer} may not import`);
  const isDeclaredElsewhere = isTest
    ? to?.layer === "dev" || name in (rootManifest.devDependencies ?? {})
    : false;
  const isWorkspaceFromTools = to !== undefined && from.folder === "tools";
  if (!declares(from.manifest, name) && !isDeclaredElsewhere && !isWorkspaceFromTools)
    reasons.push(`is not declared in ${from.folder === "tools" ? "" : `${from.folder}/`}package.json`);
  return reasons;
}

function declares(manifest: Manifest, name: string): boolean {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifest;
  return [dependencies, devDependencies, optionalDependencies, peerDependencies].some(
    (group) => group !== undefined && Object.hasOwn(group, name),
  );
}

function isExported(subpath: string, exports: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(exports).some(([key, target]) => {
    const [before = "", after] = key.split("*");
    if (target === null || after === undefined) return key === subpath && target !== null;
    return (
      subpath.startsWith(before) && subpath.endsWith(after) && subpath.length > before.length + after.length
    );
  });
}
