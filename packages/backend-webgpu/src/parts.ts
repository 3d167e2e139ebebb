/**
 * Tensors beyond what a device lets a program see at once. Groups that see only their share of such an array run apart,
 * each time over the window that they need; any other such array is bound in segments, in which the program's code,
 * changed for this, looks its values up. Kernels know nothing of it but the shares of their groups.
 */
import { reject } from "@heddle/core";
import type { Groups, Program, ProgramArray } from "./program.ts";

type Triple = readonly [x: number, y: number, z: number];

/** Groups of a run from the first up to the end, along x, y and z; flat groups count along x. */
export interface GroupBox {
  readonly first: Triple;
  readonly end: Triple;
}

/** The values of an array that groups see: number of the first, and of the one behind the last. */
export type Share = (groups: GroupBox) => readonly [from: number, end: number];

/**
 * Flat groups that go through an array line by line: so many to a line, below 1 where a group has several.
 * @param before How many values there are before a line.
 */
export function byLine(groupsOfALine: number, before: (line: number) => number): Share {
  return ({ first: [first], end: [end] }) => [
    before(Math.floor(first / groupsOfALine)),
    before(Math.ceil(end / groupsOfALine)),
  ];
}

/** Values of an array of a program, by its number there. */
export interface Binding {
  readonly array: number;
  readonly from: number;
  readonly count: number;
}

/** A dispatch. */
export interface Part {
  readonly program: Program<string, string>;
  readonly bindings: readonly Binding[];
  readonly groups: Groups;
  readonly uniforms: Readonly<Record<string, number>>;
}

/** What is to be run in parts. */
interface Whole {
  /** Values of each array of the program. */
  readonly sizes: readonly number[];
  readonly groups: Groups;
  /** By array; a number is that of the values of each flat group. */
  readonly shares: Readonly<Partial<Record<string, Share | number>>>;
}

const BYTES = 4;

/** Whether a device lets a program see so many values of an array. */
export function canBind(values: number, limits: Readonly<Record<string, number>>): boolean {
  return values * BYTES <= limits["maxStorageBufferBindingSize"]!;
}

/** One dispatch where the device can bind all that the program sees, as a rule; as few as it takes otherwise. */
export function partsOf(
  of: Program<string, string>,
  { sizes, groups, shares }: Whole,
  limits: Readonly<Record<string, number>>,
): readonly Part[] {
  const fits = (values: number): boolean => canBind(values, limits);
  const whole = sizes.map((count, array): Binding => ({ array, from: 0, count }));
  if (sizes.every(fits)) return [{ program: of, bindings: whole, groups, uniforms: {} }];

  const most = limits["maxStorageBufferBindingSize"]!;
  const aligned = limits["minStorageBufferOffsetAlignment"]! / BYTES;
  const windowOf = (array: number, box: GroupBox): Binding => {
    const share = shares[of.arrays[array]!.name]!;
    const [begin, end] = typeof share === "number" ? [box.first[0] * share, box.end[0] * share] : share(box);
    const from = Math.floor(begin / aligned) * aligned;
    return { array, from, count: Math.max(0, Math.min(end, sizes[array]!) - from) };
  };
  const isFlat = "count" in groups;
  const [x, y = 1, z = 1] = isFlat ? [groups.count] : groups;
  const one: GroupBox = { first: [0, 0, 0], end: [1, 1, 1] };
  const shared = whole.flatMap(({ array, count }) =>
    !fits(count) && shares[of.arrays[array]!.name] !== undefined && fits(windowOf(array, one).count)
      ? [array]
      : [],
  );
  const boxes = split({ first: [0, 0, 0], end: [x, y, z] }, (box) =>
    shared.every((array) => fits(windowOf(array, box).count)),
  );
  const step = Math.floor(most / BYTES / aligned) * aligned;
  return boxes.map(({ first, end }) => {
    const uniforms: Record<string, number> = { group_x: first[0], group_y: first[1], group_z: first[2] };
    const cuts: Record<string, Cut> = {};
    const bindings = whole.flatMap((binding) => {
      const { array, count } = binding;
      if (fits(count)) return [binding];
      const { name } = of.arrays[array]!;
      const window = shared.includes(array) ? windowOf(array, { first, end }) : undefined;
      if (window && fits(window.count)) {
        cuts[name] = "window";
        uniforms[before(name)] = window.from / valuesOf(of.arrays[array]!);
        return [window];
      }
      const segments = Math.ceil(count / step);
      cuts[name] = { segments, step };
      return Array.from({ length: segments }, (_, i) => ({
        array,
        from: i * step,
        count: Math.min(step, count - i * step),
      }));
    });
    const arrays = limits["maxStorageBuffersPerShaderStage"]!;
    if (bindings.length > arrays)
      reject(
        `webgpu: ${of.name}`,
        `see its tensors in at most ${arrays} arrays of ${most} bytes, as this device allows (smaller batches need fewer)`,
        Object.fromEntries(of.arrays.map(({ name }, i) => [name, sizes[i]! * BYTES])),
        "unsupported",
      );
    const own = [0, 1, 2].map((i) => end[i]! - first[i]!) as [number, number, number];
    return {
      program: cut(of, cuts),
      bindings,
      groups: isFlat ? { count: own[0] } : own,
      uniforms,
    };
  });
}

/** Halves groups along their outermost dimension until all parts fit, or are single groups. */
function split(box: GroupBox, fits: (box: GroupBox) => boolean): GroupBox[] {
  const { first, end } = box;
  const axis = [2, 1, 0].find((i) => end[i]! - first[i]! > 1);
  if (axis === undefined || fits(box)) return [box];
  const middle = Math.ceil((first[axis]! + end[axis]!) / 2);
  const halves = [
    { first, end: end.with(axis, middle) as unknown as Triple },
    { first: first.with(axis, middle) as unknown as Triple, end },
  ];
  return halves.flatMap((half) => split(half, fits));
}

/** How an array is seen: all of it that a dispatch needs in a window, or all that there is in segments of a length. */
type Cut = "window" | { readonly segments: number; readonly step: number };

/** Values of an element. */
const valuesOf = ({ type }: ProgramArray<string>): number => Number(/^vec(\d)/.exec(type)?.[1] ?? 1);

const before = (array: string): string => `${array}_before`;
const segment = (array: string, i: number): string => `${array}_segment${i}`;

const made = new WeakMap<Program<string, string>, Map<string, Program<string, string>>>();

/** The program over arrays that are cut, made once. */
function cut(of: Program<string, string>, cuts: Readonly<Record<string, Cut>>): Program<string, string> {
  const variants = made.get(of) ?? new Map<string, Program<string, string>>();
  made.set(of, variants);
  const key = JSON.stringify(cuts);
  let found = variants.get(key);
  if (!found) variants.set(key, (found = makeCut(of, cuts)));
  return found;
}

function makeCut(
  { name, arrays, uniforms, code }: Program<string, string>,
  cuts: Readonly<Record<string, Cut>>,
): Program<string, string> {
  const given = (array: ProgramArray<string>): ProgramArray<string>[] => {
    const how = cuts[array.name];
    if (how === undefined || how === "window") return [array];
    return Array.from({ length: how.segments }, (_, i) => ({ ...array, name: segment(array.name, i) }));
  };
  const windows = Object.keys(cuts).filter((array) => cuts[array] === "window");
  const numbers = windows.length > 0 ? ["group_x", "group_y", "group_z", ...windows.map(before)] : [];
  const functions = arrays.map((array) => segmentsWgsl(array, cuts[array.name]));
  return {
    name: `${name}.parts`,
    arrays: arrays.flatMap(given),
    uniforms: [...uniforms, ...numbers.map((number) => [number, "u32"] as const)],
    code: [...functions, cutAccesses(windows.length > 0 ? shiftGroups(code) : code, cuts)].join(""),
  };
}

/** `read_<array>(i)` and `write_<array>(i, value)`. */
function segmentsWgsl(array: ProgramArray<string>, how: Cut | undefined): string {
  if (how === undefined || how === "window") return "";
  const { name, type, isWritten } = array;
  const { segments, step } = how;
  const length = step / valuesOf(array);
  const each = (body: (place: string) => string): string =>
    Array.from({ length: segments }, (_, i) => {
      const found = body(`${segment(name, i)}[i - ${i * length}]`);
      return i < segments - 1 ? `  if (i < ${(i + 1) * length}) { ${found} }` : `  ${found}`;
    }).join("\n");
  const set = `
fn write_${name}(i: u32, value: ${type}) {
${each((place) => `${place} = value; return;`)}
}`;
  return `
fn read_${name}(i: u32) -> ${type} {
${each((place) => `return ${place};`)}
}${isWritten ? set : ""}`;
}

/** `group` of `main`, counted from the part's first. */
function shiftGroups(code: string): string {
  const main = code.indexOf("fn main(");
  const body = code.indexOf("{", closing(code, code.indexOf("(", main)));
  const head = code
    .slice(main, body + 1)
    .replace("@builtin(workgroup_id) group:", "@builtin(workgroup_id) own_group:");
  const shift = "\n  let group = own_group + vec3u(uniforms.group_x, uniforms.group_y, uniforms.group_z);";
  return `${code.slice(0, main)}${head}${shift}${code.slice(body + 1)}`;
}

/** Where the bracket at a place of the code is closed. */
function closing(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at++) {
    if ("([{".includes(code[at]!)) depth++;
    else if (")]}".includes(code[at]!) && --depth === 0) return at;
  }
  return code.length;
}

/** Reads and writes of the arrays that are cut, where their values are. */
function cutAccesses(code: string, cuts: Readonly<Record<string, Cut>>): string {
  const access = new RegExp(String.raw`(?<![\w.])(${Object.keys(cuts).join("|")})\[`, "g");
  let result = "";
  let done = 0;
  for (let found = access.exec(code); found; found = access.exec(code)) {
    const array = found[1]!;
    const open = found.index + array.length;
    const end = closing(code, open);
    const i = `u32(${cutAccesses(code.slice(open + 1, end), cuts)})`;
    const isWindow = cuts[array] === "window";
    const place = isWindow ? `${array}[${i} - uniforms.${before(array)}]` : `read_${array}(${i})`;
    result += code.slice(done, found.index);
    const assigned = isWindow ? undefined : /^\s*([-+*/]?)=(?!=)/.exec(code.slice(end + 1, end + 20));
    if (assigned) {
      const from = end + 1 + assigned[0].length;
      done = code.indexOf(";", from);
      const value = cutAccesses(code.slice(from, done), cuts);
      const sign = assigned[1]!;
      result += `write_${array}(${i}, ${sign ? `${place} ${sign} (${value})` : value})`;
    } else {
      done = end + 1;
      result += place;
    }
    access.lastIndex = done;
  }
  return result + code.slice(done);
}
