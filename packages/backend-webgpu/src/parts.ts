/**
 * Tensors beyond what a device lets a program see at once. Groups that see only their share of such an array run apart,
 * each time over the window that they need, if the windows of all single groups fit; any other such array is bound in
 * segments, in which the program's code, changed for this, looks its values up. Kernels know nothing of it but the
 * shares of their groups.
 */
import { reject } from "@heddle/core";
import { beforeWindow, cutProgram, GROUP_SHIFT, valuesOf } from "./parts-wgsl.ts";
import type { Cut } from "./parts-wgsl.ts";
import { MOST_GROUPS } from "./program.ts";
import type { Groups, Program } from "./program.ts";

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

/** One dispatch where the device can bind all that the program sees, as a rule; otherwise one for each part of it. */
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
  const all: GroupBox = { first: [0, 0, 0], end: [x, y, z] };
  const one: GroupBox = { first: [0, 0, 0], end: [1, 1, 1] };
  const fitsIn = (box: GroupBox) => (array: number) => fits(windowOf(array, box).count);
  let shared = sizes.flatMap((count, array) =>
    !fits(count) && shares[of.arrays[array]!.name] !== undefined && fitsIn(one)(array) ? [array] : [],
  );
  let boxes: readonly GroupBox[];
  for (;;) {
    const own = shared;
    boxes =
      own.length === 0
        ? [all]
        : split(
            all,
            (box) =>
              // More flat groups are rounded up, and those behind the part's last have no values.
              (!isFlat || box.end[0] - box.first[0] <= MOST_GROUPS) && own.every(fitsIn(box)),
          );
    // Windows begin where the device allows, and so may be longer than those of the first group.
    shared = own.filter((array) => boxes.every((box) => fitsIn(box)(array)));
    if (shared.length === own.length) break;
  }
  const step = Math.floor(most / BYTES / aligned) * aligned;
  return boxes.map(({ first, end }) => {
    const uniforms = Object.fromEntries(GROUP_SHIFT.map((name, i) => [name, first[i]!]));
    const cuts: Record<string, Cut> = {};
    const bindings = whole.flatMap((binding) => {
      const { array, count } = binding;
      if (fits(count)) return [binding];
      const { name } = of.arrays[array]!;
      const window = shared.includes(array) ? windowOf(array, { first, end }) : undefined;
      if (window && fits(window.count)) {
        cuts[name] = "window";
        uniforms[beforeWindow(name)] = window.from / valuesOf(of.arrays[array]!);
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
      program: cutProgram(of, cuts),
      bindings,
      groups: isFlat ? { count: own[0] } : own,
      uniforms,
    };
  });
}

const withAxis = ([x, y, z]: Triple, axis: number, value: number): Triple =>
  axis === 0 ? [value, y, z] : axis === 1 ? [x, value, z] : [x, y, value];

/** Halves groups along their outermost dimension until all parts fit, or are single groups. */
function split(box: GroupBox, fits: (box: GroupBox) => boolean): GroupBox[] {
  const { first, end } = box;
  const axis = [2, 1, 0].find((i) => end[i]! - first[i]! > 1);
  if (axis === undefined || fits(box)) return [box];
  const middle = Math.ceil((first[axis]! + end[axis]!) / 2);
  const halves = [
    { first, end: withAxis(end, axis, middle) },
    { first: withAxis(first, axis, middle), end },
  ];
  return halves.flatMap((half) => split(half, fits));
}
