/** Runs GPU tests where there is an adapter; elsewhere reports each as skipped with the reason, or fails under CI. */
import { TestRunner } from "vitest";
import type { RunnerTestFile, RunnerTestSuite, TestContext } from "vitest";
import { ensureSoftwareGpu } from "./node.ts";

async function whyNoAdapter(): Promise<string | undefined> {
  try {
    await ensureSoftwareGpu();
    const { gpu } = navigator as Navigator & { gpu: { requestAdapter(): Promise<object | null> } };
    return (await gpu.requestAdapter()) ? undefined : "no WebGPU adapter: the Vulkan driver gives none";
  } catch (error) {
    return `no WebGPU adapter: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Takes the hooks of a suite away, which may start a backend, and lets each test skip itself. */
function skip(suite: RunnerTestSuite, note: string): void {
  const hooks = TestRunner.getSuiteHooks(suite);
  for (const list of Object.values(hooks)) list.length = 0;
  hooks.beforeEach.push(({ skip: skipTest }: TestContext) => skipTest(note));
  for (const task of suite.tasks) if (task.type === "suite") skip(task, note);
}

/** Vitest's runner with that rule. */
export default class GpuTestRunner extends TestRunner {
  #reason: string | undefined;

  async onBeforeCollect(): Promise<void> {
    this.#reason = await whyNoAdapter();
    if (this.#reason && process.env["CI"] === "true")
      throw new Error(`GPU tests must run under CI: ${this.#reason}`);
  }

  onCollected(files: RunnerTestFile[]): void {
    if (!this.#reason) return;
    console.warn(`GPU tests are skipped: ${this.#reason}`);
    for (const file of files) skip(file, this.#reason);
  }
}
