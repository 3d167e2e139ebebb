/** Kernels' programs: WGSL with its arrays and uniforms by name. */

/** Types of uniforms. */
type Scalar = "f32" | "i32" | "u32";
/** What an array in memory is of; `vec4f` needs a number of values that 4 divides. */
export type Element = Scalar | "vec2f" | "vec2u" | "vec4f";

/** A program's parts. */
export interface ProgramParts<R extends string, W extends string, U extends string> {
  /** Carries its facts, and names it where the device refuses it: `layerNorm.f32.rows`. */
  readonly name: string;
  /** Arrays that are read, by name; `undefined` is one that this variant has not. The code must use all of them. */
  readonly reads: Readonly<Record<R, Element | undefined>>;
  /** Arrays that are written; they can be read as well. No tensor may be both read and written. */
  readonly writes: Readonly<Record<W, Element | undefined>>;
  /** Numbers of a run, by name, in WGSL as `uniforms.name`; at least one. */
  readonly uniforms: Readonly<Record<U, Scalar>>;
  /** Functions, and `@compute … fn main(…)`; nothing that it indexes but the arrays may have their names. */
  readonly code: string;
}

/** An array of a program. */
export interface ProgramArray<B extends string> {
  readonly name: B;
  readonly type: Element;
  readonly isWritten: boolean;
}

/** What is compiled, once a device. */
export interface Program<B extends string, U extends string> {
  readonly name: string;
  /** Those that are written come last. */
  readonly arrays: readonly ProgramArray<B>[];
  readonly uniforms: readonly (readonly [U, Scalar])[];
  /** The module but for the declarations of arrays and uniforms. */
  readonly code: string;
}

/** Groups along x, y and z, or so many of which only the number counts: in WGSL `flatGroup`. */
export type Groups = readonly [x: number, y?: number, z?: number] | { readonly count: number };

/** A program out of its parts. */
export function program<R extends string, W extends string, U extends string>({
  name,
  reads,
  writes,
  uniforms,
  code,
}: ProgramParts<R, W, U>): Program<R | W, U> {
  const entries = <K extends string, V>(record: Readonly<Record<K, V | undefined>>): [K, V][] =>
    (Object.entries(record) as [K, V | undefined][]).filter(
      (entry): entry is [K, V] => entry[1] !== undefined,
    );
  const arrays = [
    ...entries(reads).map(([array, type]) => ({ name: array, type, isWritten: false })),
    ...entries(writes).map(([array, type]) => ({ name: array, type, isWritten: true })),
  ];
  return { name, arrays, uniforms: entries(uniforms), code };
}

/** Programs that differ in constants written into their code: each is made once. */
export function programs<V, P>(make: (variant: V) => P): (variant: V) => P {
  const made = new Map<string, P>();
  return (variant) => {
    const key = JSON.stringify(variant);
    let found = made.get(key);
    if (found === undefined) made.set(key, (found = make(variant)));
    return found;
  };
}

/** The greatest number of groups along a dimension, whatever the device. */
export const MOST_GROUPS = 65_535;

/** Groups of which only the number counts. */
export const flatGroups = (count: number): Groups => ({ count });

/** In WGSL, the number of a group of `flatGroups`, from `@builtin(workgroup_id) group` and `num_workgroups groups`. */
export const flatGroup = "(group.x + group.y * groups.x)";

/** In WGSL, the begin of such a program's `main`: `group` and `groups`, and the number of the lane. */
export const flatMain = (lanes: number, lane = "lane"): string => `@compute @workgroup_size(${lanes})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) ${lane}: u32,
) {`;

/** Invocations of a group of `eachIndex`. */
export const EACH = 256;

/** In WGSL, `main` for each `i` below a count, one an invocation. */
export const eachIndex = (count: string, body: string): string => `
${flatMain(EACH)}
  let i = ${flatGroup} * ${EACH} + lane;
  if (i >= ${count}) { return; }
${body}
}`;

/** The groups of such a program. */
export const eachGroups = (count: number): Groups => flatGroups(Math.ceil(count / EACH));
