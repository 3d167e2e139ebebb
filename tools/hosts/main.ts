// Installs the packages from their tarballs in a folder outside the repository and runs one small program wherever
// they must work, in Node and in Chromium's pages: each must say how many threads it has, and give the bits of Node 24
// on one; on WebGPU numbers close to those. Arguments: parts of names of hosts (`webpack`) to run only these. KEEP=1
// keeps the folder.
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright";
import unpackChromium, { chromiumLaunch } from "../software-gpu/chromium.ts";
import { execute, findNodes } from "../solo-install/commands.ts";
import { consumerManifest, packAll } from "../solo-install/pack.ts";
import { npmInstall } from "../solo-install/package-steps.ts";
import { nodeHosts, onWebGpu, pageHosts } from "./hosts.ts";
import type { PageHost } from "./hosts.ts";
import { sites } from "./sites.ts";
import type { Site, SiteName } from "./sites.ts";
import { fault, readOutcome } from "./verdict.ts";
import type { Outcome } from "./verdict.ts";

/** One run of the program, and what the backend must say of itself. */
interface Check {
  readonly name: string;
  readonly says: string;
  readonly within?: number;
  readonly site?: SiteName;
  run(): Promise<Outcome>;
}

const root = process.cwd();
const only = process.argv.slice(2);
let failures = 0;

/** Counts a failure where it rejects, and gives undefined. */
async function step<T>(name: string, run: () => Promise<T>): Promise<T | undefined> {
  const start = performance.now();
  const seconds = (): string => `${((performance.now() - start) / 1000).toFixed(1)} s`;
  try {
    const value = await run();
    console.log(`ok   ${name} ${seconds()}`);
    return value;
  } catch (error) {
    failures++;
    console.log(`FAIL ${name} ${seconds()}\n${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** The packages that were packed. */
async function install(): Promise<number> {
  mkdirSync(folder);
  const packed = await packAll(root, work);
  const ours = ["attention", "backend-wasm", "backend-webgpu", "core", "models", "training"].map(
    (name) => `@heddle/${name}`,
  );
  const manifest = consumerManifest([...ours, "@tensorflow/tfjs-core"], packed, root);
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  cpSync(join(root, "tools/hosts/consumer"), folder, { recursive: true });
  await execute("npm", npmInstall, folder);
  return packed.size;
}

/** The process must end by itself. */
async function runNode(path: string, options: object | null, ...more: string[]): Promise<Outcome> {
  // Node has no WebGPU of its own.
  const gpu = options ? [] : ["--import", join(root, "tools/software-gpu/preload.ts")];
  return readOutcome(await execute(path, [...gpu, "node.js", JSON.stringify(options), ...more], folder));
}

async function runPage({ site, headers, query }: PageHost): Promise<Outcome> {
  const server = await sites[site].serve(folder, headers);
  const page = await browser.newPage();
  const said: string[] = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  try {
    await page.goto(server.origin + sites[site].path + query);
    const text = await page.locator("pre").textContent({ timeout: 60_000 });
    return readOutcome(text ?? "");
  } catch (error) {
    throw new Error([String(error), ...said].join("\n"), { cause: error });
  } finally {
    await page.close();
    await server.close();
  }
}

const checks: readonly Check[] = [
  ...findNodes().flatMap(({ path, version }) =>
    nodeHosts.map(({ threads, inWorker, says }) => ({
      name: `Node ${version}${inWorker ? ", in a worker" : ""}: ${says}`,
      says,
      run: () => runNode(path, { threads }, ...(inWorker ? ["worker"] : [])),
    })),
  ),
  { name: "Node 24, WebGPU", ...onWebGpu, run: () => runNode(process.execPath, null) },
  ...pageHosts.map((host) => ({
    ...host,
    name: `${host.site}, ${host.name}: ${host.says}`,
    run: () => runPage(host),
  })),
].filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
if (checks.length === 0) throw new Error(`hosts: must name hosts, got ${only.join(", ")}`);

const work = mkdtempSync(join(tmpdir(), "hosts-"));
const folder = join(work, "app");

async function runAll(): Promise<void> {
  const narrow = { threads: 1, wide: false };
  const expected = await step("Node 24 on one thread, narrow", async () => ({
    plain: await runNode(process.execPath, { ...narrow, simd: "plain" }),
    relaxed: await runNode(process.execPath, { ...narrow, simd: "relaxed" }),
  }));
  if (!expected) return;
  for (const name of new Set(checks.flatMap(({ site }) => site ?? []))) {
    const site: Site = sites[name];
    if (site.build) await step(`${name} is made`, async () => site.build!(folder));
  }
  for (const { name, says, within, run } of checks)
    await step(name, async () => {
      const wrong = fault(await run(), expected, { says, within });
      if (wrong !== undefined) throw new Error(wrong);
    });
}

unpackChromium();
const browser = await chromium.launch(chromiumLaunch());
if (await step("install", install)) await runAll();
await browser.close();
if (process.env["KEEP"]) console.log(work);
else rmSync(work, { recursive: true, force: true });
process.exitCode = failures === 0 ? 0 : 1;
