/** WebGPU in Node without a graphics card: Dawn over SwiftShader, both from npm. */
import { existsSync, readdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { unpack } from "./unpack.ts";

/** What `ensureSoftwareGpu` takes. */
export interface SoftwareGpuOptions {
  /** Leave the machine as it is when it has a Vulkan driver of its own. @default false */
  readonly keepInstalled?: boolean;
}

/** Keeps the library mapped after the failed load of it as a Node addon. */
const RTLD_NODELETE = 0x1000;

/**
 * Zeroing large workgroup arrays takes 2 s of SwiftShader's compiler where 0.2 s do, and kernels write before they
 * read. A kernel that does not would go unseen, so HEDDLE_ZERO_WORKGROUPS=1 zeroes them as every browser does, and so
 * does a driver of the system, as for a user.
 */
function dawnOptions(isSoftware: boolean): string[] {
  const zeroes = !isSoftware || process.env["HEDDLE_ZERO_WORKGROUPS"] === "1";
  return zeroes ? [] : ["enable-dawn-features=disable_workgroup_init"];
}

/** Whether the Vulkan loader has a driver to load by itself. */
function hasDriver(): boolean {
  const folders = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"];
  return folders.some((folder) => existsSync(folder) && readdirSync(folder).length > 0);
}

/** Makes the software driver the one that the Vulkan loader finds, and the loader one that Dawn finds. */
function loadSoftwareVulkan(): void {
  const folder = unpack("swiftshader", ["swiftshader.tar.br"]);
  // Only on the main thread does this reach the C library's environment, which the loader reads.
  process.env["VK_DRIVER_FILES"] = join(folder, "vk_swiftshader_icd.json");
  try {
    process.dlopen(
      { exports: {} },
      join(folder, "libvulkan.so.1"),
      constants.dlopen.RTLD_NOW | RTLD_NODELETE,
    );
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes("did not self-register")) throw error;
  }
}

/**
 * Gives plain Node a `navigator.gpu` and WebGPU's globals, on software where Linux on x64 has no driver; elsewhere Dawn
 * uses the system's. Call it once, on the main thread, before `webgpu()` starts.
 *
 * @throws Error with the reason when that cannot be had here.
 */
export async function ensureSoftwareGpu({ keepInstalled = false }: SoftwareGpuOptions = {}): Promise<void> {
  const realm = globalThis as { navigator?: { gpu?: unknown } };
  if (realm.navigator?.gpu) return;
  const given = process.env["VK_DRIVER_FILES"] || process.env["VK_ICD_FILENAMES"];
  const isOurs = process.platform === "linux" && process.arch === "x64";
  const isSoftware = isOurs && !given && !(keepInstalled && hasDriver());
  if (isSoftware) loadSoftwareVulkan();
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  if (!realm.navigator)
    Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true, writable: true });
  Object.defineProperty(realm.navigator, "gpu", {
    value: create(dawnOptions(isSoftware)),
    configurable: true,
    writable: true,
  });
}
