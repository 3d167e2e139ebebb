// Installs a plugin and the packages that it needs, from tarballs, in a folder outside the repository: its tests are
// Heddle's conformance suite, and its parts are built into GPT and BERT from JSON, on WASM and on WebGPU.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { execute } from "../solo-install/commands.ts";
import { consumerManifest, packAll } from "../solo-install/pack.ts";
import { npmInstall } from "../solo-install/package-steps.ts";

const root = process.cwd();
const work = mkdtempSync(join(tmpdir(), "check-plugin-"));
const folder = join(work, "acme");
mkdirSync(folder);

const packages = [
  "core",
  "attention",
  "positions",
  "models",
  "conformance",
  "backend-wasm",
  "backend-webgpu",
];
const others = ["@tensorflow/tfjs-core", "vitest"];
const softwareGpu = join(root, "tools/software-gpu/preload.ts");
/** The plugin's tests find WebGPU as a user's would in a browser; on Linux it is the software adapter. */
const vitestConfig = `export default { test: { pool: "forks", setupFiles: ${JSON.stringify([softwareGpu])}, testTimeout: 60_000 } };\n`;

const steps: readonly { readonly name: string; run(): Promise<string> }[] = [
  {
    name: "install",
    async run() {
      const packed = await packAll(root, work);
      const names = [...packages.map((name) => `@heddle/${name}`), ...others];
      writeFileSync(join(folder, "package.json"), JSON.stringify(consumerManifest(names, packed, root)));
      cpSync(join(root, "tools/check-plugin/plugin"), folder, { recursive: true });
      writeFileSync(join(folder, "vitest.config.js"), vitestConfig);
      return execute("npm", npmInstall, folder);
    },
  },
  { name: "conformance", run: () => execute("npx", ["vitest", "run"], folder) },
  { name: "models on wasm", run: () => execute(process.execPath, ["models.ts", "wasm"], folder) },
  {
    name: "models on webgpu",
    run: () =>
      execute(process.execPath, ["--import", pathToFileURL(softwareGpu).href, "models.ts", "webgpu"], folder),
  },
];

let failed = false;
for (const { name, run } of steps) {
  const start = performance.now();
  const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  try {
    const output = await run();
    console.log(`ok   ${name} ${seconds()}`);
    if (name !== "install") console.log(stripVTControlCharacters(output).trim().replaceAll(/^/gm, "     "));
  } catch (error) {
    console.log(`FAIL ${name} ${seconds()}\n${error instanceof Error ? error.message : String(error)}`);
    failed = true;
    break;
  }
}
if (process.env["KEEP"]) console.log(work);
else rmSync(work, { recursive: true, force: true });
process.exitCode = failed ? 1 : 0;
