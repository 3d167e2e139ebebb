import { webgpu } from "./webgpu.ts";

declare const device: GPUDevice;
webgpu({ device });

// @ts-expect-error An adapter is no device.
webgpu({ device: {} as GPUAdapter });
