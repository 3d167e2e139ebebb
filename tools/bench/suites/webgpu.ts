import { webgpu } from "@heddle/backend-webgpu";
import { startBackend } from "@heddle/core";
import { ensureSoftwareGpu } from "../../software-gpu/node.ts";
import type { BenchSuite } from "../suite.ts";
import { kernelCases } from "./kernels.ts";

/** Starts WebGPU, on the graphics card if there is one, and gives the cases of its kernels; small ones in software. */
export async function webgpuKernels(): Promise<BenchSuite> {
  await ensureSoftwareGpu({ keepInstalled: true });
  const backend = await startBackend(webgpu());
  const sizes = backend.description.includes("software")
    ? { rows: 128, width: 192, heads: 4, vocabulary: 1024 }
    : { rows: 2048, width: 768, heads: 12, vocabulary: 50_257 };
  return {
    threads: 1,
    mode: backend.description,
    cases: () => kernelCases(sizes),
    stop: () => backend.dispose(),
  };
}
