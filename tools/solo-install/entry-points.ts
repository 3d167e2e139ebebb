/**
 * The import specifiers of the modules that a package offers: each key of its `exports`, with a wildcard key
 * expanded over the packed files. Entries that are not modules (package.json, .wasm) are left out.
 *
 * @param files paths in the tarball, such as `dist/patterns/full.js`
 */
export function entryPoints(
  name: string,
  exports: Readonly<Record<string, unknown>>,
  files: readonly string[],
): string[] {
  const found = new Set<string>();
  for (const [key, target] of Object.entries(exports)) {
    const path = targetOf(target);
    if (!path?.endsWith(".js")) continue;
    const [before = "", after] = path.slice("./".length).split("*");
    if (after === undefined) found.add(name + key.slice(1));
    else
      for (const file of files)
        if (file.startsWith(before) && file.endsWith(after) && file.length > before.length + after.length)
          found.add(name + key.slice(1).replace("*", file.slice(before.length, file.length - after.length)));
  }
  return [...found].toSorted();
}

function targetOf(target: unknown): string | undefined {
  if (typeof target === "string") return target;
  const conditions = target as { readonly default?: unknown } | null;
  return typeof conditions?.default === "string" ? conditions.default : undefined;
}
