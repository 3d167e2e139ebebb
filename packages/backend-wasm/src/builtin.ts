/** Node's own modules, without an import that a bundler for pages would stumble over. */

interface Builtins {
  readonly "node:fs/promises": { readFile(place: string | URL): Promise<Uint8Array<ArrayBuffer>> };
  readonly "node:os": { availableParallelism(): number };
  readonly "node:v8": { setFlagsFromString(flag: string): void };
  readonly "node:worker_threads": {
    readonly Worker: new (file: string | URL, options?: { readonly eval?: boolean }) => NodeWorker;
  };
}

/** A thread of Node, as far as it is used here. */
export interface NodeWorker {
  on(event: string, listener: (value: unknown) => void): void;
  postMessage(message: unknown): void;
  terminate(): void;
  unref(): void;
}

/** A module of Node; undefined elsewhere. */
export function builtin<N extends keyof Builtins>(name: N): Builtins[N] | undefined {
  const { process } = globalThis as {
    process?: { getBuiltinModule?(id: string): Builtins[N] | undefined };
  };
  return process?.getBuiltinModule?.(name);
}
