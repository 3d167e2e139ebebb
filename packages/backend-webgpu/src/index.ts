export * from "./webgpu.ts";
export type { WebGpuAdapterInfo, WebGpuDevice, WebGpuErrorEvent } from "./gpu.ts";
