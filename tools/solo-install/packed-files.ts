/** What is wrong with the list of files in a tarball, one sentence each. */
export function packingFaults(promised: readonly string[], packed: readonly string[]): string[] {
  const faults: string[] = [];
  for (const entry of promised.filter((path) => !path.startsWith("!")))
    if (!packed.some((path) => path === entry || path.startsWith(`${entry}/`)))
      faults.push(`"files" promises ${entry}, and nothing of it was packed`);
  for (const path of packed) {
    if (/\.(test|test-d|bench)\.|(^|\/)goldens\/|\.tsbuildinfo$/.test(path))
      faults.push(`${path} was packed`);
    const [, module] = /^dist\/(.*)\.js$/.exec(path) ?? [];
    if (module !== undefined && !packed.includes(`src/${module}.ts`))
      faults.push(`${path} was packed and src/${module}.ts is gone: delete that dist folder and build again`);
  }
  return faults;
}
