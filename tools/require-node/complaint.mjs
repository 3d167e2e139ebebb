/**
 * Why this Node cannot run the tools, or undefined. They are TypeScript that Node itself strips of its types,
 * which 22.18 was the first to do without a flag.
 *
 * @param {string} version such as "20.20.2"
 * @returns {string | undefined}
 */
export function complaint(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return undefined;
  return (
    `tools: must run under Node >= 22.18, got ${version}. Use the npm scripts after \`npm ci\` ` +
    "(on Linux and Windows they bring their own Node 24), or install a newer Node."
  );
}
