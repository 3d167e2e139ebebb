import type { Attention } from "@heddle/attention";
import { reject } from "@heddle/core";
import type { EntryJson, Registry } from "@heddle/core";
import type { Swap } from "./model.ts";

/** A pattern or a mechanism from its JSON. */
export async function readAttention(json: EntryJson, registry: Registry): Promise<Attention> {
  const name = typeof json?.name === "string" ? json.name : "";
  if (registry.has("mechanisms", name)) return registry.create("mechanisms", json);
  if (name !== "" && !registry.has("patterns", name)) {
    const known = [...registry.names("patterns"), ...registry.names("mechanisms")].toSorted();
    reject("attention: name", `be one of ${known.join(", ")}`, name, "invalid-data");
  }
  return registry.create("patterns", json);
}

/** JSON of what can be swapped; not checked yet. */
export interface SwapJson {
  readonly attention?: unknown;
  readonly position?: unknown;
  readonly modifiers?: unknown;
}

/** Attention (one, or a list with one a layer), position and modifiers from JSON that may have them. */
export async function readSwap(
  { attention, position, modifiers }: SwapJson,
  registry: Registry,
): Promise<Swap> {
  if (modifiers !== undefined && !Array.isArray(modifiers))
    reject("modifiers", "be a list", modifiers, "invalid-data");
  return {
    ...(attention !== undefined && {
      attention: Array.isArray(attention)
        ? await Promise.all(attention.map((json: EntryJson) => readAttention(json, registry)))
        : await readAttention(attention as EntryJson, registry),
    }),
    ...(position !== undefined && { position: await registry.create("positions", position as EntryJson) }),
    ...(modifiers !== undefined && {
      modifiers: await Promise.all(modifiers.map((json: EntryJson) => registry.create("modifiers", json))),
    }),
  };
}

/** What `save` wrote under the key `heddle` of config.json. */
export async function readHeddleJson(
  config: Readonly<Record<string, unknown>>,
  registry: Registry,
): Promise<Swap & { readonly kept: readonly string[] }> {
  const { heddle = {} } = config;
  const where = "config.json: heddle";
  if (typeof heddle !== "object" || heddle === null || Array.isArray(heddle))
    reject(where, "be an object", heddle, "invalid-data");
  const { kept = [], ...swap } = heddle as Record<string, unknown>;
  if (!Array.isArray(kept) || !kept.every((name) => typeof name === "string"))
    reject(`${where}.kept`, "be a list of names", kept, "invalid-data");
  const unknown = Object.keys(swap).find((key) => !["attention", "position", "modifiers"].includes(key));
  if (unknown !== undefined)
    reject(where, "have only attention, position, modifiers and kept", unknown, "invalid-data");
  return { kept: kept as string[], ...(await readSwap(swap, registry)) };
}
