// What conforms in Node conforms in a page: the tests of the project `browser`, which hold bounds of their own.
import { startVitest } from "vitest/node";
import type { Figure, FigureContext } from "../figure.ts";

/** By the paths of their files. */
const groups = {
  "kernels on webgpu": /backend-webgpu|gpu\.test|gpu-full\.test/,
  "kernels on wasm": /backend-wasm/,
  "goldens, patterns, mechanisms and positions on wasm and cpu": /./,
} as const;

/** Takes about five minutes in software. */
export default async function chromiumFigure({ progress }: FigureContext): Promise<Figure[]> {
  progress("running the project `browser` in headless Chromium");
  const vitest = await startVitest("test", [], { project: "browser", watch: false, reporters: [] });
  const files = vitest.state.getTestModules();
  const counts = new Map<string, { passed: number; failed: number }>();
  for (const file of files) {
    const group = Object.entries(groups).find(([, pattern]) => pattern.test(file.moduleId))![0];
    const count = counts.get(group) ?? { passed: 0, failed: 0 };
    const states = [...file.children.allTests()].map((test) => test.result().state);
    const failed = states.filter((state) => state === "failed").length;
    // A file that does not load has no tests.
    count.failed += file.ok() ? failed : Math.max(1, failed);
    count.passed += states.filter((state) => state === "passed").length;
    counts.set(group, count);
  }
  await vitest.close();
  if (files.length === 0) throw new Error("no test ran in Chromium");
  return Object.keys(groups).map((group) => {
    const { passed, failed } = counts.get(group) ?? { passed: 0, failed: 1 };
    return {
      figure: `in Chromium: ${group}`,
      target: "0 tests fail",
      measured: `${passed} passed, ${failed} failed`,
      held: failed === 0 && passed > 0,
    };
  });
}
