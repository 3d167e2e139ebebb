import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The parts of a package.json that the tools read. */
export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly nx?: { readonly tags?: readonly string[] };
}

/** A package of the workspace. */
export interface WorkspacePackage {
  /** Relative to the workspace, with forward slashes: `packages/core`. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** The nx tag `layer:…` without its prefix: a number as text, `dev` or `app`; empty when there is none. */
  readonly layer: string;
}

/** A package.json, not checked. */
export function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, "utf8")) as Manifest;
}

/** All packages under packages/ and apps/, by name. */
export function readWorkspace(root: string): Map<string, WorkspacePackage> {
  const packages = new Map<string, WorkspacePackage>();
  for (const file of globSync("{packages,apps}/*/package.json", { cwd: root }).toSorted()) {
    const manifest = readManifest(join(root, file));
    const tag = manifest.nx?.tags?.find((candidate) => candidate.startsWith("layer:")) ?? "layer:";
    const folder = dirname(file).replaceAll("\\", "/");
    packages.set(manifest.name, { folder, manifest, layer: tag.slice("layer:".length) });
  }
  return packages;
}

/** `@heddle/core/x` is `["@heddle/core", "./x"]`, `vitest` is `["vitest", "."]`. */
export function splitSpecifier(specifier: string): [name: string, subpath: string] {
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  return [name, `.${specifier.slice(name.length)}`];
}
