import { HeddleError } from "@heddle/core";
import type { Gpu } from "./gpu.ts";

/** The optional package `webgpu`: Dawn for Node. */
interface Dawn {
  create(options: string[]): Gpu;
  readonly globals: object;
}

/** WebGPU's entry, and how to take it away again if it was put there. */
export interface FoundGpu {
  readonly gpu: Gpu;
  release(): void;
}

/** Dawn crashes the process when this object is collected while a device lives, so it is kept for good. */
let dawn: { readonly gpu: Gpu; readonly globals: object } | undefined;

async function loadDawn(): Promise<NonNullable<typeof dawn>> {
  if (dawn) return dawn;
  // A literal would make bundlers look for a package that only Node needs.
  const name = "webgpu";
  let loaded: Dawn;
  try {
    loaded = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    throw new HeddleError(
      "unsupported",
      code === "ERR_MODULE_NOT_FOUND"
        ? 'Node must have the package "webgpu" (Dawn), got none: npm install webgpu'
        : `the package "webgpu" (Dawn) must load, got: ${message}`,
      { cause: error },
    );
  }
  return (dawn = { gpu: loaded.create([]), globals: loaded.globals });
}

/** Defines what is missing on an object, and returns the way back. */
function define(target: object, properties: object): () => void {
  const added = Object.entries(properties).filter(([key]) => !(key in target));
  for (const [key, value] of added)
    Object.defineProperty(target, key, { value, configurable: true, writable: true });
  return () => {
    for (const [key] of added) Reflect.deleteProperty(target, key);
  };
}

/**
 * `navigator.gpu` of the page, worker or prepared Node; in plain Node that of the package `webgpu`, whose globals tfjs
 * needs to see.
 * @throws HeddleError `unsupported` when there is none, with what to install.
 */
export async function findGpu(): Promise<FoundGpu> {
  const realm = globalThis as { navigator?: { gpu?: Gpu }; process?: { versions?: { node?: string } } };
  if (realm.navigator?.gpu) return { gpu: realm.navigator.gpu, release: () => undefined };
  if (!realm.process?.versions?.node)
    throw new HeddleError(
      "unsupported",
      "navigator.gpu must be there, got a page without it: the browser has no WebGPU, or the page is not on https or localhost",
    );
  const { gpu, globals } = await loadDawn();
  const takeGlobals = define(globalThis, { ...globals, navigator: {} });
  const takeGpu = define(realm.navigator!, { gpu });
  const release = (): void => {
    takeGpu();
    takeGlobals();
  };
  return { gpu, release };
}
