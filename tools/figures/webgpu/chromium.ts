// What conforms in Node conforms in a page: the tests of the project `browser`, which hold bounds of their own.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import type { Figure, FigureContext } from "../figure.ts";

/** By the paths of their files. */
const groups = {
  "kernels and goldens on webgpu": /backend-webgpu|gpu\.test|gpu-full\.test/,
  "kernels on wasm": /backend-wasm/,
  "goldens, patterns, mechanisms and positions on wasm and cpu": /./,
} as const;

/** The parts of Vitest's JSON report that are counted. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/** Takes about five minutes in software. */
export default function chromiumFigure({ progress }: FigureContext): Promise<Figure[]> {
  progress("running the project `browser` in headless Chromium");
  const folder = mkdtempSync(join(tmpdir(), "heddle-chromium-"));
  const file = join(folder, "report.json");
  const args = ["run", "--project", "browser", "--reporter=json", `--outputFile.json=${file}`];
  // A run that breaks off, or has errors beside its tests, does not end with 0.
  const { status, stderr } = spawnSync("vitest", args, { encoding: "utf8", maxBuffer: 2 ** 28 });
  const { testResults } = JSON.parse(readFileSync(file, "utf8")) as Report;
  rmSync(folder, { recursive: true });
  if (status !== 0) progress(stderr);
  const names = Object.keys(groups) as (keyof typeof groups)[];
  return Promise.resolve(
    names.map((group) => {
      const own = testResults.filter(
        ({ name }) => names.find((each) => groups[each].test(relative(process.cwd(), name))) === group,
      );
      const tests = own.flatMap(({ assertionResults }) => assertionResults.map((test) => test.status));
      const passed = tests.filter((state) => state === "passed").length;
      const failed = tests.filter((state) => state === "failed").length;
      return {
        figure: `in Chromium: ${group}`,
        target: "0 tests fail, and the run is whole",
        measured: `${passed} passed, ${failed} failed, ${own.length} files${status === 0 ? "" : `, ended with ${status}`}`,
        held: status === 0 && failed === 0 && passed > 0,
      };
    }),
  );
}
