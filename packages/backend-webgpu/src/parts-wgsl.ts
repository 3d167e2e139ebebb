/** WGSL of programs that see arrays in parts: how their code is changed for it. */
import type { Program, ProgramArray } from "./program.ts";

/** How an array is seen: all of it that a dispatch needs in a window, or all that there is in segments of a length. */
export type Cut = "window" | { readonly segments: number; readonly step: number };

/** Values of an element. */
export const valuesOf = ({ type }: ProgramArray<string>): number => Number(/^vec(\d)/.exec(type)?.[1] ?? 1);

/** Uniforms: numbers of a part's first group along x, y and z. */
export const GROUP_SHIFT = ["group_x", "group_y", "group_z"] as const;

/** The uniform that says how many elements of an array are before its window. */
export const beforeWindow = (array: string): string => `${array}_before`;

const segment = (array: string, i: number): string => `${array}_segment${i}`;

const made = new WeakMap<Program<string, string>, Map<string, Program<string, string>>>();

/** The program over arrays that are cut, made once. */
export function cutProgram(
  of: Program<string, string>,
  cuts: Readonly<Record<string, Cut>>,
): Program<string, string> {
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
  const numbers = [...GROUP_SHIFT, ...windows.map(beforeWindow)];
  const functions = arrays.map((array) => segmentsWgsl(array, cuts[array.name]));
  return {
    name: `${name}.parts`,
    arrays: arrays.flatMap(given),
    uniforms: [...uniforms, ...numbers.map((number) => [number, "u32"] as const)],
    code: [...functions, cutAccesses(shiftGroups(code), cuts)].join(""),
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

const WORKGROUP = "@builtin(workgroup_id) group:";

/** `group` of `main`, counted from the part's first. */
function shiftGroups(code: string): string {
  // Some programs have one group, and do not ask which.
  if (!code.includes(WORKGROUP)) return code;
  const main = code.indexOf("fn main(");
  const body = code.indexOf("{", closing(code, code.indexOf("(", main)));
  const head = code.slice(main, body + 1).replace(WORKGROUP, WORKGROUP.replace("group:", "own_group:"));
  const first = GROUP_SHIFT.map((name) => `uniforms.${name}`).join(", ");
  const shift = `\n  let group = own_group + vec3u(${first});`;
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
    const place = isWindow ? `${array}[${i} - uniforms.${beforeWindow(array)}]` : `read_${array}(${i})`;
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
