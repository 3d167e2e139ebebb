/** Score modifiers of a call in WGSL, and the values that they read. */
import { attributesOfRow, emitModifierWgsl, lookupDerivatives, tableBytes } from "@heddle/attention";
import type { AttentionCall, EmitLayout, EmittedWgsl, MaskShape } from "@heddle/attention";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Place } from "./heads-in-place.ts";

type Modifier = NonNullable<AttentionCall["modifiers"]>[number];

/** What modifiers of the same expressions have in common, whatever they read. */
export interface ModifierCode {
  /**
   * With the functions of modifier n as `modify_<n>` and so on; they read `values`, and `batch_at` and `head_at` for
   * the batch row and head at hand.
   */
  readonly wgsl: string;
  readonly count: number;
  /** For each modifier: the names that each of its lookups reads, in the order of its lookup functions. */
  readonly lookups: readonly (readonly string[])[];
  /** Whether `values` is read. */
  readonly reads: boolean;
  readonly uniforms: Readonly<Record<string, "u32">>;
}

const emitted = new WeakMap<Modifier["score"], EmittedWgsl>();

function emit(score: Modifier["score"]): EmittedWgsl {
  const known = emitted.get(score) ?? emitModifierWgsl(score);
  emitted.set(score, known);
  return known;
}

const tablesOf = ({ tables = {} }: Modifier): Readonly<Record<string, Tensor>> =>
  tables as Readonly<Record<string, Tensor>>;

/** Names of the numbers that tell where modifier n finds what it reads. */
const names = {
  attribute: (n: number, slot: number) =>
    ["at", "batch"].map((what) => `attribute_${n}_${slot}_${what}`) as [string, string],
  tables: (n: number) => `tables_${n}`,
  lookup: (n: number, slot: number) =>
    ["at", "batch", "head", "row", "length"].map((what) => `lookup_${n}_${slot}_${what}`) as [
      string,
      string,
      string,
      string,
      string,
    ],
};

/** One case a slot. */
function bySlot(cases: readonly string[]): string {
  return `switch slot {\n${cases.map((body, slot) => `    case ${slot}u: { ${body} }`).join("\n")}
    default: {}
  }`;
}

/** The functions that emitted code calls; those of slots that there are not give 0. */
function readers({ attributes, lookups, tables }: EmitLayout, n: number): string {
  const uniform = (name: string): string => `uniforms.${name}`;
  const ofAttributes = attributes.map((_, slot) => {
    const [at, batch] = names.attribute(n, slot).map(uniform);
    return `return i32(values[${at} + ${batch} * batch_at + u32(position)]);`;
  });
  const ofLookups = lookups.map((_, slot) => {
    const [at, batch, head, row, length] = names.lookup(n, slot).map(uniform);
    return `if (index < 0 || u32(index) >= ${length}) { return 0.0; }
      return values[${at} + ${batch} * batch_at + ${head} * head_at + ${row} * u32(row) + u32(index)];`;
  });
  return [
    attributes.length > 0 &&
      `fn readAttribute(slot: u32, position: i32) -> i32 {\n  ${bySlot(ofAttributes)}\n  return 0;\n}`,
    lookups.length > 0 &&
      `fn readLookup(slot: u32, row: i32, index: i32) -> f32 {\n  ${bySlot(ofLookups)}\n  return 0.0;\n}`,
    tables.length > 0 &&
      `fn readTable(entry: i32) -> bool { return values[${uniform(names.tables(n))} + u32(entry)] != 0.0; }`,
  ]
    .filter(Boolean)
    .join("\n");
}

/** The code of a call's modifiers. */
export function modifierCode(modifiers: readonly Modifier[]): ModifierCode {
  const all = modifiers.map(({ score }) => emit(score));
  const uniforms = all.flatMap(({ layout: { attributes, tables, lookups } }, n) => [
    ...attributes.flatMap((_, slot) => names.attribute(n, slot)),
    ...(tables.length > 0 ? [names.tables(n)] : []),
    ...lookups.flatMap((_, slot) => names.lookup(n, slot)),
  ]);
  return {
    wgsl: all
      .map(({ code, layout }, n) =>
        `${readers(layout, n)}\n${code}`.replaceAll(
          /\b(modify\w*|readTable|readAttribute|readLookup)\b/g,
          `$1_${n}`,
        ),
      )
      .join("\n"),
    count: modifiers.length,
    lookups: modifiers.map(({ score }) => lookupDerivatives(score).map(({ lookup }) => lookup.table)),
    reads: uniforms.length > 0,
    uniforms: Object.fromEntries(uniforms.map((name) => [name, "u32" as const])),
  };
}

/**
 * What the modifiers of a call read, one after the other, and where each begins; the caller's tidy frees it. `table` is
 * where heads look up what they read if all of it is one table.
 */
export function modifierValues(
  modifiers: readonly Modifier[],
  shape: MaskShape,
): { values: Tensor | undefined; uniforms: Record<string, number>; table: Place | undefined } {
  const parts: Tensor[] = [];
  const uniforms: Record<string, number> = {};
  let size = 0;
  let table: Place | undefined;
  const place = (part: Tensor): number => {
    parts.push(tf.reshape(part, [part.size]));
    size += part.size;
    return size - part.size;
  };
  const { attributes: given = {}, queryRows, keyLength } = shape;
  const { batch = 1 } = given;
  modifiers.forEach((modifier, n) => {
    const { attributes, tables, lookups, ...layout } = emit(modifier.score).layout;
    attributes.forEach(({ of, name }, slot) => {
      const [at, perRow] = names.attribute(n, slot);
      const length = of === "query" ? queryRows : keyLength;
      const where = { where: "attention", reader: "a modifier" };
      const values = Array.from({ length: batch }, (_, row) => [
        ...attributesOfRow(where, of, new Set([name]), given, { row, batch, length })[name]!,
      ]);
      // Exact: they are within 2^24.
      uniforms[at] = place(tf.tensor1d(Float32Array.from(values.flat())));
      uniforms[perRow] = batch === 1 ? 0 : length;
    });
    if (tables.length > 0)
      uniforms[names.tables(n)] = place(
        tf.tensor1d(Float32Array.from(tableBytes({ attributes, tables, lookups, ...layout }))),
      );
    lookups.forEach((name, slot) => {
      const values = tablesOf(modifier)[name]!;
      const [rows, heads, queries, length] = values.shape as [number, number, number, number];
      const [batchStep, head, row] = [
        rows === 1 ? 0 : heads * queries * length,
        heads === 1 ? 0 : queries * length,
        queries === 1 ? 0 : length,
      ] as const;
      table = { values, begin: 0, batch: batchStep, head, row, length: queries, width: length };
      const [at, ...others] = names.lookup(n, slot);
      uniforms[at] = place(values);
      [batchStep, head, row, length].forEach((value, i) => (uniforms[others[i]!] = value));
    });
  });
  const values = parts.length > 1 ? tf.concat(parts) : parts[0];
  return { values, uniforms, table: parts.length === 1 ? table : undefined };
}
