// Packs every package, installs each alone outside the repository, and asks what a user would ask of it.
// Arguments: names of packages (`core`) to test only these. KEEP=1 keeps the folders.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findNodes } from "./commands.ts";
import { consumerManifest, packAll } from "./pack.ts";
import { packageSteps, type Step } from "./package-steps.ts";
import { readmeInstalls, readmeSteps } from "./readme-steps.ts";

interface Job {
  readonly title: string;
  readonly dependencies: readonly string[];
  steps(folder: string): Step[];
}

const root = process.cwd();
const only = process.argv.slice(2).map((name) => (name.startsWith("@") ? name : `@heddle/${name}`));
const nodes = findNodes();
const work = mkdtempSync(join(tmpdir(), "solo-install-"));
const tarballs = join(work, "tarballs");
mkdirSync(tarballs);

const started = performance.now();
const packed = await packAll(root, tarballs);
console.log(
  `packed ${packed.size} packages in ${secondsSince(started)}; Node ${nodes.map(({ version }) => version)}`,
);
const unknown = only.filter((name) => !packed.has(name));
if (unknown.length > 0) throw new Error(`solo-install: must name packages, got ${unknown.join(", ")}`);

const jobs: Job[] = [...packed.values()]
  .filter(({ name }) => only.length === 0 || only.includes(name))
  .map((target) => ({
    title: target.name,
    dependencies: [target.name],
    steps: (folder) => packageSteps(target, folder, { root, nodes }),
  }));
const readme = join(root, "README.md");
if (only.length === 0 && existsSync(readme))
  jobs.push({
    title: "README.md",
    dependencies: readmeInstalls(readme),
    steps: (folder) => readmeSteps(readme, folder, nodes),
  });

let failures = 0;
const waiting = [...jobs];
await Promise.all([takeJobs(), takeJobs()]);
if (process.env["KEEP"]) console.log(work);
else rmSync(work, { recursive: true, force: true });
console.log(
  failures === 0 ? `all hold, ${secondsSince(started)}` : `${failures} do not hold, ${secondsSince(started)}`,
);
process.exitCode = failures === 0 ? 0 : 1;

/** Takes jobs until none is left. Two of these run at a time. */
async function takeJobs(): Promise<void> {
  for (let job = waiting.shift(); job; job = waiting.shift()) {
    const folder = join(work, job.title.replaceAll(/\W+/g, "-"));
    mkdirSync(folder);
    writeFileSync(
      join(folder, "package.json"),
      JSON.stringify(consumerManifest(job.dependencies, packed, root)),
    );
    for (const { name, run } of job.steps(folder)) {
      const start = performance.now();
      const error = await run().then(
        () => undefined,
        (reason: Error) => reason,
      );
      console.log(`${error ? "FAIL" : "ok  "} ${job.title} ${name} ${secondsSince(start)}`);
      if (!error) continue;
      failures++;
      console.log(error.message);
      if (name === "install") break;
    }
  }
}

function secondsSince(start: number): string {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`;
}
