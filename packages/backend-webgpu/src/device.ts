import { HeddleError } from "@heddle/core";
import type { Adapter, Gpu, WebGpuAdapterInfo, WebGpuDevice } from "./gpu.ts";

/** Which adapter to take. */
export interface AdapterChoice {
  readonly powerPreference: "high-performance" | "low-power";
  readonly software: boolean | undefined;
}

/** Limits that decide how large tensors, workgroups and kernels may be; the device gets the adapter's best. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxBindingsPerBindGroup",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Optional features that kernels can use. */
const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** The adapter in words: `"SwiftShader driver 5.0.0 (google swiftshader), software; subgroups"`. */
export function describeDevice(device: WebGpuDevice, info: WebGpuAdapterInfo | undefined): string {
  const family = [info?.vendor, info?.architecture].filter(Boolean).join(" ");
  const own = info?.description || info?.device;
  const name = own && family ? `${own} (${family})` : own || family || "an adapter without a name";
  const features = FEATURES.filter((feature) => device.features.has(feature));
  return `${name}${info?.isFallbackAdapter ? ", software" : ""}${features.length > 0 ? `; ${features.join(", ")}` : ""}`;
}

async function requestAdapter(gpu: Gpu, { powerPreference, software }: AdapterChoice): Promise<Adapter> {
  let adapter: Adapter | null;
  try {
    adapter = await gpu.requestAdapter({
      powerPreference,
      ...(software === true && { forceFallbackAdapter: true }),
    });
  } catch (error) {
    throw new HeddleError("unsupported", `the adapter must be given, got: ${String(error)}`, {
      cause: error,
    });
  }
  const kind = software === undefined ? "an adapter" : software ? "a software adapter" : "a graphics card";
  const found = adapter?.info?.isFallbackAdapter ? "a software adapter" : "a graphics card";
  if (!adapter || (software !== undefined && kind !== found))
    throw new HeddleError(
      "unsupported",
      `${kind} must be there, got ${adapter ? found : "none: a driver for Vulkan, Metal or Direct3D 12 is missing (Linux: VK_DRIVER_FILES names one)"}`,
    );
  return adapter;
}

/**
 * A device of our own with the adapter's best limits and the features that kernels use. tfjs's own asks neither for
 * half floats, nor subgroups, nor more than 8 storage buffers a stage.
 * @throws HeddleError `unsupported` when there is no such adapter, or it gives no device.
 */
export async function requestDevice(
  gpu: Gpu,
  choice: AdapterChoice,
): Promise<{ device: WebGpuDevice; info: WebGpuAdapterInfo | undefined }> {
  const adapter = await requestAdapter(gpu, choice);
  const offered = adapter.limits as Readonly<Record<string, number | undefined>>;
  const requiredLimits: Record<string, number> = {};
  for (const limit of LIMITS) if (offered[limit] !== undefined) requiredLimits[limit] = offered[limit];
  const requiredFeatures = FEATURES.filter((feature) => adapter.features.has(feature));
  try {
    return { device: await adapter.requestDevice({ requiredFeatures, requiredLimits }), info: adapter.info };
  } catch (error) {
    throw new HeddleError("unsupported", `the adapter must give a device, got: ${String(error)}`, {
      cause: error,
    });
  }
}
