import { join } from "node:path";
import { type Manifest, readManifest, readWorkspace } from "../boundaries/workspace.ts";
import { execute } from "./commands.ts";

/** A package as it would be published. */
export interface PackedPackage {
  readonly name: string;
  readonly manifest: Manifest & { readonly files?: readonly string[] };
  readonly tarball: string;
  /** Paths in the tarball. */
  readonly files: readonly string[];
}

/** Packs every package of the workspace that is not private, by name. */
export async function packAll(root: string, destination: string): Promise<Map<string, PackedPackage>> {
  const packed = new Map<string, PackedPackage>();
  for (const { folder, manifest } of readWorkspace(root).values()) {
    if (manifest.private) continue;
    const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", destination];
    const [entry] = JSON.parse(await execute("npm", args, join(root, folder))) as [
      { readonly filename: string; readonly files: readonly { readonly path: string }[] },
    ];
    const tarball = join(destination, entry.filename);
    packed.set(manifest.name, {
      name: manifest.name,
      manifest,
      tarball,
      files: entry.files.map(({ path }) => path),
    });
  }
  return packed;
}

/**
 * The package.json of an empty project that depends on `names` only. Packages of the workspace come from their
 * tarballs, the dependencies of dependencies too, and others in the version that the workspace itself uses.
 */
export function consumerManifest(
  names: readonly string[],
  packed: ReadonlyMap<string, PackedPackage>,
  root: string,
): object {
  const { devDependencies = {} } = readManifest(join(root, "package.json"));
  const tarballs = [...packed.values()].map(({ name, tarball }) => [name, `file:${tarball}`] as const);
  const versions: Record<string, string> = { ...devDependencies, ...Object.fromEntries(tarballs) };
  const dependencies = Object.fromEntries(names.map((name) => [name, versions[name] ?? "latest"]));
  const overrides = Object.fromEntries(Object.entries(versions).filter(([name]) => !names.includes(name)));
  return { name: "consumer", private: true, type: "module", dependencies, overrides };
}
