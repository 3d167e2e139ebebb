/**
 * `npm run goldens:check [-- FAMILY...]`: makes the goldens again in a temporary folder and compares them with the
 * committed ones. Exit code 0: equal; 1: they differ; 2: no Python that can make them.
 */
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { compareGoldens } from "./compare.ts";
import { readGolden } from "./safetensors.ts";

const here = import.meta.dirname;
const root = resolve(here, "../..");
const pattern = "packages/*/src/**/goldens/*.safetensors";
const families = process.argv.slice(2);

/** The pinned versions of torch and transformers. */
function pinned(): Record<string, string> {
  const lines = readFileSync(join(here, "requirements.txt"), "utf8").matchAll(
    /^(torch|transformers)==(\S+)$/gm,
  );
  return Object.fromEntries(Array.from(lines, ([, name, version]) => [name, version]));
}

/** A Python with the pinned versions, or the reason why there is none. */
function findPython(): { python: string } | { reason: string } {
  const python = process.env["HEDDLE_PYTHON"] ?? "python3";
  const code =
    "import json, torch, transformers as t; print(json.dumps([torch.__version__.split('+')[0], t.__version__]))";
  const { status, stdout, stderr, error } = spawnSync(python, ["-c", code], { encoding: "utf8" });
  if (error) return { reason: `${python}: ${error.message}` };
  if (status !== 0) return { reason: `${python}: ${stderr.trim().split("\n").at(-1)}` };
  const [torch, transformers] = JSON.parse(stdout) as [string, string];
  const wanted = pinned();
  if (torch === wanted["torch"] && transformers === wanted["transformers"]) return { python };
  return { reason: `${python} has torch ${torch} and transformers ${transformers}` };
}

function runPython(python: string, ...parameters: string[]): void {
  const environment = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
  const { status } = spawnSync(python, parameters, {
    env: environment,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error(`${python} ${parameters.join(" ")} must end with 0, got ${status}`);
}

function check(python: string): number {
  const folder = mkdtempSync(join(tmpdir(), "heddle-goldens-"));
  try {
    runPython(python, "-m", "unittest", "discover", "--quiet", "-s", here);
    runPython(
      python,
      join(here, "make.py"),
      "--out",
      folder,
      ...(families.length > 0 ? ["--only", ...families] : []),
    );
    const made = new Set(globSync(pattern, { cwd: folder }));
    const committed = new Set(globSync(pattern, { cwd: root }));
    const all = families.length > 0 ? made : new Set([...committed, ...made]);
    let differing = 0;
    for (const path of [...all].toSorted()) {
      const problems = [];
      let largest = 0;
      if (!committed.has(path)) problems.push("is not committed");
      else if (!made.has(path)) problems.push("is not made by any script");
      else {
        const [before, after] = [readFileSync(join(root, path)), readFileSync(join(folder, path))];
        if (!before.equals(after)) {
          const comparison = compareGoldens(readGolden(before), readGolden(after));
          problems.push(...comparison.problems);
          largest = comparison.largest;
        }
      }
      if (problems.length > 0) differing += 1;
      console.log(
        `${problems.length > 0 ? "differs" : "equal  "} ${path} (largest difference ${largest.toExponential(1)})`,
      );
      for (const problem of problems) console.log(`        ${problem}`);
    }
    console.log(`${all.size - differing} goldens equal, ${differing} differ`);
    return all.size > 0 && differing === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const found = findPython();
if ("python" in found) process.exitCode = check(found.python);
else {
  console.error(`goldens:check needs Python with ${JSON.stringify(pinned())}: ${found.reason}`);
  console.error("Install it (about 1 GB), then run the check again:");
  console.error(
    "  python3.11 -m venv out/python && out/python/bin/pip install -r tools/reference/requirements.txt",
  );
  console.error("  HEDDLE_PYTHON=out/python/bin/python npm run goldens:check");
  process.exitCode = 2;
}
