import { HeddleError, reject, show } from "./errors.ts";
import { checkKernels } from "./kernel.ts";
import type { AnyKernel } from "./kernel.ts";

/**
 * What a registry can hold, by kind. Packages add to it by declaration merging:
 * `declare module "@heddle/core" { interface RegistryKinds { patterns: AttentionPattern } }`.
 */
// eslint-disable-next-line typescript/no-empty-object-type -- filled by the packages that bring the kinds.
export interface RegistryKinds {}

/** A kind of entry: `patterns`, `mechanisms`, `modifiers`, `positions`, `models`. */
export type RegistryKind = keyof RegistryKinds & string;

/** An entry by name with its options, as JSON has it: `{ "name": "sliding-window", "before": 31 }`. */
export interface EntryJson {
  readonly name: string;
  readonly [option: string]: unknown;
}

/** Makes a value from its options. May import what it needs when it is called, so that nobody pays for the rest. */
export type Factory<T> = (options: never, registry: Registry) => T | Promise<T>;

type Entries = { readonly [K in RegistryKind]?: Readonly<Record<string, Factory<RegistryKinds[K]>>> };

/** What a plugin brings: entries by kind and name, and kernels. */
export interface Plugin extends Entries {
  readonly name: string;
  readonly kernels?: readonly AnyKernel[];
}

/** A plugin is a value; this gives its type and checks its name. */
export function definePlugin(plugin: Plugin): Plugin {
  if (typeof plugin?.name !== "string" || plugin.name === "")
    reject("definePlugin: name", "be a non-empty string", plugin?.name);
  return plugin;
}

/** What JSON and the command line can name. */
export interface Registry {
  /** The plugins' kernels, for `startBackend(wasm({ kernels: registry.kernels }))`. */
  readonly kernels: readonly AnyKernel[];
  /** The names of a kind, sorted. */
  names(kind: RegistryKind): readonly string[];
  has(kind: RegistryKind, name: string): boolean;
  /** Makes a value from JSON. @throws HeddleError `invalid-data` for an unknown name and for options that the entry refuses. */
  create<K extends RegistryKind>(kind: K, json: EntryJson): Promise<RegistryKinds[K]>;
}

const isPlainObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Refuses an option that the value made of it does not have, nested ones included, so that a misspelt one is not
 * ignored.
 * @param made The options that the value says it has.
 * @throws HeddleError `invalid-data`.
 */
export function checkOptions(
  where: string,
  given: Readonly<Record<string, unknown>>,
  made: Readonly<Record<string, unknown>>,
): void {
  for (const [option, value] of Object.entries(given)) {
    if (!Object.hasOwn(made, option))
      reject(
        where,
        `have only the options ${Object.keys(made).join(", ") || "none"}`,
        option,
        "invalid-data",
      );
    const settled = made[option];
    if (isPlainObject(value) && isPlainObject(settled)) checkOptions(`${where}.${option}`, value, settled);
  }
}

/** Runs a factory; the options that it refuses are data here, said with their place. */
async function inPlace<T>(where: string, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof HeddleError) || error.code !== "invalid-argument") throw error;
    throw new HeddleError("invalid-data", `${where}: ${error.message}`, { cause: error });
  }
}

/** The kernels of all plugins, in order. */
function kernelsOf(plugins: readonly Plugin[]): AnyKernel[] {
  const owners = new Map<string, string>();
  return plugins.flatMap(({ name: plugin, kernels = [] }) => {
    checkKernels(`createRegistry: ${plugin}: kernels`, kernels);
    kernels.forEach((kernel: AnyKernel) => {
      const title = `${show(kernel.name)} of ${kernel.operation}`;
      const other = owners.get(title);
      if (other !== undefined) rejectTwice(`kernel ${title}`, other, plugin);
      owners.set(title, plugin);
    });
    return kernels as readonly AnyKernel[];
  });
}

function rejectTwice(what: string, one: string, other: string): never {
  throw new HeddleError(
    "invalid-argument",
    `createRegistry: ${what} must come from one plugin, got ${one} and ${other}`,
  );
}

/**
 * A registry of plugins. Nothing registers by being imported: an application says what it uses.
 * @throws HeddleError for what is no plugin, and when two plugins bring the same name.
 */
export function createRegistry(...plugins: readonly Plugin[]): Registry {
  plugins.forEach((plugin, at) => {
    if (typeof plugin?.name !== "string")
      reject(`createRegistry: plugins[${at}]`, "be a plugin, made by definePlugin", plugin);
  });
  const kinds = new Map<string, Map<string, { readonly plugin: string; readonly make: Factory<unknown> }>>();
  for (const { name: plugin, kernels: _, ...entries } of plugins)
    for (const [kind, factories] of Object.entries(entries) as [string, unknown][]) {
      if (!isPlainObject(factories))
        reject(`createRegistry: ${plugin}: ${kind}`, "be functions by name", factories);
      const known = kinds.get(kind) ?? new Map();
      kinds.set(kind, known);
      for (const [name, make] of Object.entries(factories)) {
        const other = known.get(name);
        if (other) rejectTwice(`${kind} ${show(name)}`, other.plugin, plugin);
        if (typeof make !== "function")
          reject(`createRegistry: ${plugin}: ${kind} ${show(name)}`, "be a function of its options", make);
        known.set(name, { plugin, make });
      }
    }
  const registry: Registry = {
    kernels: kernelsOf(plugins),
    names: (kind) => [...(kinds.get(kind)?.keys() ?? [])].toSorted(),
    has: (kind, name) => kinds.get(kind)?.has(name) ?? false,
    async create<K extends RegistryKind>(kind: K, json: EntryJson): Promise<RegistryKinds[K]> {
      if (typeof json !== "object" || json === null || Array.isArray(json) || typeof json.name !== "string")
        reject(`registry: ${kind}`, 'be an object with a name, {"name": …}', json, "invalid-data");
      const { name, ...options } = json;
      const entry = kinds.get(kind)?.get(name);
      if (!entry)
        reject(
          `registry: ${kind} name`,
          `be one of ${registry.names(kind).join(", ") || "none"}`,
          name,
          "invalid-data",
        );
      const where = `registry: ${kind} ${show(name)}`;
      const made = await inPlace(where, async () => entry.make(options as never, registry));
      const { options: settled } = Object(made) as { readonly options?: unknown };
      if (isPlainObject(settled)) checkOptions(where, options, settled);
      return made as RegistryKinds[K];
    },
  };
  return registry;
}
