import { useBackend } from "@heddle/conformance";
import { activeBackend } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { flatGroup, flatGroups, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import { columnSums, rowSums } from "./sums.ts";

const numbered = program({
  name: "numbered",
  reads: {},
  writes: { y: "u32" },
  uniforms: { first: "u32" },
  code: `@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = ${flatGroup};
  if (i < arrayLength(&y)) { y[i] = uniforms.first + i; }
}`,
});

describe("programs", () => {
  useBackend("webgpu");

  it("run in as many groups as are asked for, beyond the limit of one dimension", async () => {
    const y = output([70_000], "int32");
    run(numbered, { buffers: { y }, uniforms: { first: 5 }, groups: flatGroups(70_000) });
    const values = await y.data();
    expect([values[0], values[65_535], values[69_999]]).toEqual([5, 65_540, 70_004]);
    y.dispose();
  });

  it("do nothing in no group, and take tensors without values", async () => {
    const [empty, y] = [output([0]), tf.tensor1d([1, 2])];
    run(numbered, { buffers: { y }, uniforms: { first: 0 }, groups: [0] });
    expect([...(await y.data())]).toEqual([1, 2]);
    const size = program({
      name: "size",
      reads: { x: "f32" },
      writes: { y: "f32" },
      uniforms: { offset: "f32" },
      code: `@compute @workgroup_size(1) fn main() { y[0] = uniforms.offset + f32(arrayLength(&x)); }`,
    });
    run(size, { buffers: { x: empty, y }, uniforms: { offset: 0.5 }, groups: [1] });
    expect((await y.data())[0]).toBe(4.5);
    expect([...(await empty.data())]).toEqual([]);
    tf.dispose([empty, y]);
  });

  it("are not hidden by a read that was under way when they ran", async () => {
    const y = output([2], "int32");
    run(numbered, { buffers: { y }, uniforms: { first: 1 }, groups: [2] });
    const reading = y.data();
    run(numbered, { buffers: { y }, uniforms: { first: 7 }, groups: [2] });
    expect([...(await reading)]).toEqual([1, 2]);
    expect([...(await y.data())]).toEqual([7, 8]);
    y.dispose();
  });

  it("share buffers: that of a tensor freed before the submit is the next one's", async () => {
    const double = program({
      name: "double",
      reads: { x: "f32" },
      writes: { y: "f32" },
      uniforms: { factor: "f32" },
      code: `@compute @workgroup_size(4)
fn main(@builtin(local_invocation_index) i: u32) { y[i] = uniforms.factor * x[i]; }`,
    });
    let x: tf.Tensor = tf.tensor1d([1, 2, 3, 4]);
    const used = (): number =>
      (tf.backend() as unknown as { memory(): { numBytesAllocatedInGPU: number } }).memory()
        .numBytesAllocatedInGPU;
    const uniformBytes = 4;
    let before = 0;
    for (let step = 0; step < 20; step++) {
      const y = output([4]);
      run(double, { buffers: { x, y }, uniforms: { factor: 2 }, groups: [1] });
      x.dispose();
      x = y;
      if (step === 3) before = used();
    }
    expect(used() - before).toBe(16 * uniformBytes);
    expect([...(await x.data())]).toEqual([1, 2, 3, 4].map((value) => value * 2 ** 20));
    x.dispose();
  });

  it("are named where the device refuses them", async () => {
    const y = output([1]);
    const wrong = { reads: {}, writes: { y: "f32" }, uniforms: { first: "u32" } } as const;
    const main = "@compute @workgroup_size(1) fn main() { y[0] = f32(uniforms.first);";
    const broken = program({ ...wrong, name: "broken.f32.tile8", code: main });
    run(broken, { buffers: { y }, uniforms: { first: 1 }, groups: [1] });
    await expect(y.data()).rejects.toThrow(/broken\.f32\.tile8/);
    expect(() => activeBackend()!.checkErrors()).toThrow(/broken\.f32\.tile8/);
    expect([...(await y.data())]).toEqual([0]);
    y.dispose();
  });

  it("write tensors that were read before, and none that they read", async () => {
    const y = tf.tensor1d([7, 7]);
    run(numbered, { buffers: { y }, uniforms: { first: 1 }, groups: [2] });
    expect([...(await y.data())].map((bits) => Math.round(bits * 2 ** 149))).toEqual([1, 2]);
    run(numbered, { buffers: { y }, uniforms: { first: 3 }, groups: [2] });
    expect([...(await y.data())].map((bits) => Math.round(bits * 2 ** 149))).toEqual([3, 4]);
    const copy = program({
      name: "copy",
      reads: { x: "f32" },
      writes: { y: "f32" },
      uniforms: { size: "u32" },
      code: `@compute @workgroup_size(1) fn main() { for (var i = 0u; i < uniforms.size; i++) { y[i] = x[i]; } }`,
    });
    expect(() => run(copy, { buffers: { x: y, y }, uniforms: { size: 2 }, groups: [1] })).toThrow(
      'webgpu: copy must have y apart from x, got "one tensor for both"',
    );
    y.dispose();
  });

  it("are made once a variant", () => {
    const make = programs(({ tile }: { tile: number }) => ({ tile }));
    expect(make({ tile: 8 })).toBe(make({ tile: 8 }));
    expect(make({ tile: 8 })).not.toBe(make({ tile: 4 }));
  });

  it.each([
    [1, 1, 1],
    [2, 37, 19],
    [3, 16, 40],
    [2, 0, 3],
    [1, 65, 3],
    [2, 5000, 19],
  ])("sum %i matrices of %i rows of %i", async (batch, rows, width) => {
    const values = Array.from({ length: batch * rows * width }, (_, i) => ((i * 37) % 11) - 5);
    const x = tf.tensor3d(values, [batch, rows, width]);
    const expected = Array.from({ length: batch * width }, () => 0);
    values.forEach((v, i) => (expected[Math.floor(i / (rows * width)) * width + (i % width)]! += v));
    const y = rowSums(x, batch, width, [batch, width]);
    expect([...(await y.data())]).toEqual(expected);
    const all = columnSums(x);
    const total = Array.from({ length: width }, (_, column) =>
      expected.reduce((sum, v, i) => (i % width === column ? sum + v : sum), 0),
    );
    expect([...(await all.data())]).toEqual(total);
    tf.dispose([x, y, all]);
  });
});
