import { startBackend } from "@heddle/core";
import type { WasmOptions } from "@heddle/backend-wasm";
import type { Backend, BackendStarter } from "@heddle/core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";

/** The backends that Heddle brings. */
export type BackendName = "cpu" | "wasm" | "webgpu";

const starters: Readonly<Record<BackendName, (options?: WasmOptions) => Promise<BackendStarter>>> = {
  cpu: async () => (await import("@heddle/backend-cpu")).cpu(),
  wasm: async (options) => (await import("@heddle/backend-wasm")).wasm(options),
  webgpu: async () => (await import("@heddle/backend-webgpu")).webgpu(),
};

/** A starter with its defaults, or on wasm with options. */
export function backendStarter(name: BackendName, options?: WasmOptions): Promise<BackendStarter> {
  return starters[name](options);
}

/**
 * Inside a `describe`: its tests run on this backend, and each must free every tensor that it makes.
 * The backend is started before the first test and disposed after the last.
 *
 * @param which Its name, or a starter with options.
 * @param options Of wasm, named.
 */
export function useBackend(which: BackendName | BackendStarter, options?: WasmOptions): void {
  let backend: Backend;
  let before = 0;
  beforeAll(async () => {
    backend = await startBackend(typeof which === "string" ? await backendStarter(which, options) : which);
  });
  beforeEach(() => {
    before = backend.memory().tensors;
  });
  afterEach(() => {
    expect(backend.memory().tensors - before, "tensors leaked").toBe(0);
  });
  afterAll(() => backend?.dispose());
}
