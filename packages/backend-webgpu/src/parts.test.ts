import { describe, expect, it } from "vitest";
import { byLine, partsOf } from "./parts.ts";
import type { Part } from "./parts.ts";
import { eachIndex, program } from "./program.ts";

/** 256 values of an array, of which parts begin at multiples of 64. */
const limits = {
  maxStorageBufferBindingSize: 1024,
  minStorageBufferOffsetAlignment: 256,
  maxStorageBuffersPerShaderStage: 8,
};

const copy = program({
  name: "copy",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32" },
  code: eachIndex("uniforms.size", "  y[i] = x[i];"),
});

/** What parts see of each array, and their groups. */
const seen = (parts: readonly Part[]): unknown[] =>
  parts.map(({ bindings, groups, uniforms }) => [
    bindings.map(({ array, from, count }) => [array, from, count]),
    groups,
    uniforms,
  ]);

describe("parts of a run", () => {
  it("are one where the device binds all of it, to the last byte", () => {
    const [part, ...others] = partsOf(copy, { sizes: [256, 256], groups: { count: 2 }, shares: {} }, limits);
    expect(others).toEqual([]);
    expect(part!.program).toBe(copy);
    expect(seen([part!])).toEqual([
      [
        [
          [0, 0, 256],
          [1, 0, 256],
        ],
        { count: 2 },
        {},
      ],
    ]);
  });

  it("are of groups where these see a share, in windows that begin where the device allows", () => {
    const parts = partsOf(
      copy,
      { sizes: [400, 400], groups: { count: 4 }, shares: { x: 100, y: byLine(2, (line) => 200 * line) } },
      limits,
    );
    expect(seen(parts)).toEqual([
      [
        [
          [0, 0, 200],
          [1, 0, 200],
        ],
        { count: 2 },
        { group_x: 0, group_y: 0, group_z: 0, x_before: 0, y_before: 0 },
      ],
      [
        [
          [0, 192, 208],
          [1, 192, 208],
        ],
        { count: 2 },
        { group_x: 2, group_y: 0, group_z: 0, x_before: 192, y_before: 192 },
      ],
    ]);
    // Compiled once for all.
    expect(parts[0]!.program).toBe(parts[1]!.program);
  });

  it("halve the outermost dimension of groups that has more than one", () => {
    const share = ({ first, end }: { first: readonly number[]; end: readonly number[] }) =>
      [64 * (2 * first[2]! + first[1]!), 64 * (2 * (end[2]! - 1) + end[1]!)] as const;
    const parts = partsOf(copy, { sizes: [512, 1], groups: [5, 2, 4], shares: { x: share } }, limits);
    expect(parts.map(({ groups }) => groups)).toEqual([
      [5, 2, 2],
      [5, 2, 2],
    ]);
    expect(parts.map(({ bindings }) => bindings[0])).toEqual([
      { array: 0, from: 0, count: 256 },
      { array: 0, from: 256, count: 256 },
    ]);
  });

  it("have no more flat groups than fit along one dimension", () => {
    const many = { ...limits, maxStorageBufferBindingSize: 4 * 150_000 };
    const whole = { sizes: [200_000, 200_000], groups: { count: 200_000 }, shares: { x: 1, y: 1 } };
    const counts = partsOf(copy, whole, many).map(({ groups }) => (groups as { count: number }).count);
    expect(counts).toEqual([50_000, 50_000, 50_000, 50_000]);
  });

  it("are segments of what some group sees too much of, beside windows of the other arrays", () => {
    const whole = { sizes: [1000, 256], groups: { count: 4 }, shares: { x: 250, y: 64 } };
    expect(seen(partsOf(copy, whole, limits))).toEqual([
      [
        [
          [0, 0, 256],
          [0, 256, 256],
          [0, 512, 256],
          [0, 768, 232],
          [1, 0, 256],
        ],
        { count: 4 },
        { group_x: 0, group_y: 0, group_z: 0 },
      ],
    ]);
    const parts = partsOf(copy, { ...whole, sizes: [1000, 512], shares: { x: 250, y: 128 } }, limits);
    expect(parts.map(({ bindings }) => bindings.at(-1))).toEqual([
      { array: 1, from: 0, count: 256 },
      { array: 1, from: 256, count: 256 },
    ]);
    expect(parts.map(({ uniforms }) => uniforms)).toEqual([
      { group_x: 0, group_y: 0, group_z: 0, y_before: 0 },
      { group_x: 2, group_y: 0, group_z: 0, y_before: 256 },
    ]);
    expect(parts[1]!.program.arrays).toHaveLength(5);
  });

  it("are segments of what every group sees", () => {
    const parts = partsOf(copy, { sizes: [600, 600], groups: { count: 3 }, shares: { y: 256 } }, limits);
    expect(
      parts.map(({ bindings }) => bindings.map(({ array, from, count }) => [array, from, count])),
    ).toEqual(
      [0, 1, 2].map((i) => [
        [0, 0, 256],
        [0, 256, 256],
        [0, 512, 88],
        [1, 256 * i, i === 2 ? 88 : 256],
      ]),
    );
    expect(parts[0]!.program.arrays.map(({ name }) => name)).toEqual([
      "x_segment0",
      "x_segment1",
      "x_segment2",
      "y",
    ]);
  });

  it("are refused where there are more than the device lets a program see", () => {
    const sizes = [2000, 300];
    expect(() => partsOf(copy, { sizes, groups: { count: 8 }, shares: {} }, limits)).toThrow(
      'webgpu: copy must see its tensors in at most 8 arrays of 1024 bytes, as this device allows (smaller batches need fewer), got {"x":8000,"y":1200}',
    );
  });

  it("are read and written where they are, in reads within reads and sums too", () => {
    const of = program({
      name: "lookups",
      reads: { ids: "u32", x: "vec4f" },
      writes: { y: "f32" },
      uniforms: { size: "u32" },
      code: eachIndex(
        "uniforms.size",
        "  if (ids[i] == 0) { y[i] += x[ids[i] + 1][2] * 2.0; }\n  let y_index = max[0];",
      ),
    });
    const codeOf = (sizes: number[], shares = {}): string =>
      partsOf(of, { sizes, groups: { count: 2 }, shares }, limits)[0]!.program.code;
    const segments = codeOf([300, 400, 300]);
    expect(segments).toContain(
      "if (read_ids(u32(i)) == 0) { write_y(u32(i), read_y(u32(i)) + ( read_x(u32(read_ids(u32(i)) + 1))[2] * 2.0)); }",
    );
    expect(segments).toContain("let y_index = max[0];");
    // Of vectors 64 fit.
    expect(segments).toContain("if (i < 64) { return x_segment0[i - 0]; }\n  return x_segment1[i - 64];");
    expect(segments).toContain("if (i < 256) { y_segment0[i - 0] = value; return; }");
    expect(codeOf([2, 2, 300], { y: 150 })).toContain(
      "let group = own_group + vec3u(uniforms.group_x, uniforms.group_y, uniforms.group_z);",
    );
    expect(codeOf([2, 2, 300], { y: 150 })).toContain(
      "y[u32(i) - uniforms.y_before] += x[ids[i] + 1][2] * 2.0;",
    );
  });
});
