import { checkFields, checkKernels } from "@heddle/core";
import type { AnyKernel, BackendStarter } from "@heddle/core";
import { cacheWriteCpu } from "./cache-write.ts";

/** What `cpu` takes. */
export interface CpuOptions {
  /** Kernels for the operations, tried before those of this package and the reference, in this order. @default [] */
  readonly kernels?: readonly AnyKernel[];
}

/** Plain JavaScript: slow, everywhere, and what the references are defined on. */
export function cpu(options: CpuOptions = {}): BackendStarter {
  checkFields("cpu: options", options, ["kernels"]);
  const { kernels = [] } = options;
  checkKernels("cpu: kernels", kernels);
  return {
    name: "cpu",
    async start() {
      const { MathBackendCPU } = await import("@tensorflow/tfjs-backend-cpu");
      const engine = new MathBackendCPU();
      // In Node its first tensor prints an advertisement; the field is private in its types.
      Reflect.set(engine, "firstUse", false);
      return { engine, kernels: [...kernels, cacheWriteCpu], description: "plain JavaScript, 1 thread" };
    },
  };
}
