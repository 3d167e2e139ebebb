import { startBackend } from "@heddle/core";
import type { Backend, BackendStarter } from "@heddle/core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";

/** The backends that Heddle brings. */
export type BackendName = "cpu" | "wasm" | "webgpu";

const starters: Readonly<Record<BackendName, () => Promise<BackendStarter>>> = {
  cpu: async () => (await import("@heddle/backend-cpu")).cpu(),
  wasm: async () => (await import("@heddle/backend-wasm")).wasm(),
  webgpu: async () => (await import("@heddle/backend-webgpu")).webgpu(),
};

/** A starter with its defaults. */
export function backendStarter(name: BackendName): Promise<BackendStarter> {
  return starters[name]();
}

/**
 * Inside a `describe`: its tests run on this backend, and each must free every tensor that it makes.
 * The backend is started before the first test and disposed after the last.
 *
 * @param which Its name, or a starter with options.
 */
export function useBackend(which: BackendName | BackendStarter): void {
  let backend: Backend;
  let before = 0;
  beforeAll(async () => {
    backend = await startBackend(typeof which === "string" ? await backendStarter(which) : which);
  });
  beforeEach(() => {
    before = backend.memory().tensors;
  });
  afterEach(() => {
    expect(backend.memory().tensors - before, "tensors leaked").toBe(0);
  });
  afterAll(() => backend?.dispose());
}
