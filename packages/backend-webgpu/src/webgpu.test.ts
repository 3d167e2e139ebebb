import { startBackend } from "@heddle/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { WebGpuDevice } from "./gpu.ts";
import { webgpu } from "./webgpu.ts";

afterEach(() => vi.unstubAllGlobals());

/** A `navigator.gpu` whose adapter is given. */
function stub(adapter: object | null): void {
  vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => adapter } });
}

const software = {
  info: { vendor: "", architecture: "", device: "", description: "", isFallbackAdapter: true },
  features: new Set(),
  limits: {},
  requestDevice: () => Promise.reject(new Error("out of devices")),
};

describe("webgpu asks", () => {
  const limits = {
    maxBufferSize: 1,
    maxStorageBufferBindingSize: 2,
    maxUniformBufferBindingSize: 3,
    maxStorageBuffersPerShaderStage: 4,
    maxBindingsPerBindGroup: 5,
    maxComputeWorkgroupStorageSize: 6,
    maxComputeInvocationsPerWorkgroup: 7,
    maxComputeWorkgroupSizeX: 8,
    maxComputeWorkgroupSizeY: 9,
    maxComputeWorkgroupSizeZ: 10,
    maxComputeWorkgroupsPerDimension: 11,
  };

  it.each([
    ["high-performance", {}],
    ["high-performance", { powerPreference: "high-performance" }],
    ["low-power", { powerPreference: "low-power" }],
  ] as const)("for the %s adapter, all that it can and no more: %j", async (powerPreference, options) => {
    const requestDevice = vi.fn(software.requestDevice);
    const features = new Set(["subgroups", "timestamp-query", "texture-compression-bc"]);
    const adapter = {
      ...software,
      limits: { ...limits, maxTextureDimension2D: 12 },
      features,
      requestDevice,
    };
    const requestAdapter = vi.fn(async () => adapter);
    vi.stubGlobal("navigator", { gpu: { requestAdapter } });
    await expect(startBackend(webgpu(options))).rejects.toThrow("out of devices");
    expect(requestAdapter.mock.calls).toEqual([[{ powerPreference }]]);
    expect(requestDevice.mock.calls).toEqual([
      [{ requiredFeatures: ["subgroups", "timestamp-query"], requiredLimits: limits }],
    ]);
  });
});

describe("webgpu refuses", () => {
  it.each([
    ["no adapter", {}, null, "an adapter must be there, got none: a driver for Vulkan"],
    ["no software adapter", { software: true }, null, "a software adapter must be there, got none"],
    ["software only", { software: false }, software, "a graphics card must be there, got a software adapter"],
    ["no device", {}, software, "the adapter must give a device, got: Error: out of devices"],
  ])("%s", async (_, options, adapter, reason) => {
    stub(adapter);
    await expect(startBackend(webgpu(options))).rejects.toThrow(
      `startBackend: no backend can run here. webgpu: ${reason}`,
    );
  });

  it("a page without WebGPU", async () => {
    vi.stubGlobal("navigator", {});
    vi.stubGlobal("process", { ...process, versions: {} });
    await expect(startBackend(webgpu())).rejects.toThrow(
      "navigator.gpu must be there, got a page without it",
    );
  });

  it("options of the wrong type", () => {
    // @ts-expect-error Not a preference.
    expect(() => webgpu({ powerPreference: "fast" })).toThrow(
      'webgpu: powerPreference must be one of "high-performance", "low-power", got "fast"',
    );
    // @ts-expect-error Not a boolean.
    expect(() => webgpu({ software: 1 })).toThrow("webgpu: software must be one of true, false, got 1");
    expect(() => webgpu({ sofware: true } as object)).toThrow(
      'webgpu: options must have only the fields kernels, powerPreference, device, software, got "sofware"',
    );
    // @ts-expect-error No kernel.
    expect(() => webgpu({ kernels: [{}] })).toThrow("webgpu: kernels[0] must be made by kernel(…), got {}");
    const device = { queue: { onSubmittedWorkDone: async () => undefined } } as unknown as WebGpuDevice;
    expect(() => webgpu({ device, software: true })).toThrow(
      'webgpu: options must have no powerPreference and no software beside device, which is chosen already, got {"software":true}',
    );
    // @ts-expect-error Not a device.
    expect(() => webgpu({ device: {} })).toThrow("webgpu: device must be a GPUDevice, got {}");
  });
});
