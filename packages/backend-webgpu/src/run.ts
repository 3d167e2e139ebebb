/** Runs kernels' programs among tfjs's own: compiled once a device, in parts where tensors are beyond what it can bind. */
import { reject } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine, onDevice } from "./engine.ts";
import type { ComputeDevice, ComputePipeline, GpuBuffer } from "./gpu.ts";
import { partsOf } from "./parts.ts";
import type { Share } from "./parts.ts";
import { MOST_GROUPS } from "./program.ts";
import type { Groups, Program } from "./program.ts";

/** A new tensor for a program to fill; until then its values are whatever was there. */
export function output(shape: readonly number[], dtype: "float32" | "int32" = "float32"): Tensor {
  const tensor = tf.engine().makeTensorFromTensorInfo(engine().makeTensorInfo(shape, dtype));
  // No program will give it a buffer.
  if (tensor.size === 0)
    engine().tensorMap.get(tensor.dataId).values = tf.util.getTypedArrayFromDType(dtype, 0);
  return tensor;
}

/** The whole module. */
function moduleOf({ arrays, uniforms, code }: Program<string, string>): string {
  return [
    ...arrays.map(
      ({ name, type, isWritten }, at) =>
        `@group(0) @binding(${at}) var<storage, ${isWritten ? "read_write" : "read"}> ${name}: array<${type}>;`,
    ),
    `struct Uniforms { ${uniforms.map(([field, type]) => `${field}: ${type}`).join(", ")} }`,
    `@group(0) @binding(${arrays.length}) var<uniform> uniforms: Uniforms;`,
    code,
  ].join("\n");
}

/** What a device has compiled, and the buffer that stands in for those of tensors without values. */
interface Compiled {
  readonly pipelines: Map<Program<string, string>, ComputePipeline>;
  readonly nothing: GpuBuffer;
}

const compiled = new WeakMap<ComputeDevice, Compiled>();

const STORAGE = 0x80;
/** As much as the largest element. */
const NOTHING_BYTES = 16;

function compiledBy(device: ComputeDevice): Compiled {
  let found = compiled.get(device);
  if (!found) {
    const nothing = device.createBuffer({ size: NOTHING_BYTES, usage: STORAGE });
    compiled.set(device, (found = { pipelines: new Map(), nothing }));
  }
  return found;
}

/** A tensor, or data of the device that is none. */
export type Values = Pick<Tensor, "dataId" | "size">;

const BYTES_PER_VALUE = 4;

/** What a run is over. */
export interface Run<B extends string, U extends string> {
  /** `undefined` for what the program's variant has not. */
  readonly buffers: Readonly<Record<B, Values | undefined>>;
  readonly uniforms: Readonly<Record<U, number>>;
  readonly groups: Groups;
  /**
   * Of arrays of which groups see a share, what that is, so that arrays beyond what the device can bind are seen in
   * windows: a number is that of the values of each flat group, in their order. @default all groups see all
   */
  readonly shares?: Readonly<Partial<Record<B, Share | number>>>;
}

const types = { f32: "float32", i32: "int32", u32: "uint32" } as const;

/**
 * Records a program among the commands that are yet to be submitted. Nothing runs where there are no groups. A tensor
 * that is freed afterwards gives its buffer to the next one at once: what that is filled by is recorded later.
 * @throws HeddleError `unsupported` when the device can bind the tensors neither whole nor in parts.
 */
export function run<B extends string, U extends string>(
  of: Program<B, U>,
  { buffers, uniforms, groups, shares }: Run<B, U>,
): void {
  if (("count" in groups ? [groups.count] : groups).includes(0)) return;
  const { device } = engine();
  const { nothing } = compiledBy(device);
  const sizes = of.arrays.map(({ name }) => buffers[name]!.size);
  const parts = partsOf(of, { sizes, groups, shares: shares ?? {} }, device.limits);
  const resources = of.arrays.map(({ name, isWritten }, at) => {
    if (sizes[at] === 0) return nothing;
    const data = onDevice(buffers[name]!);
    // What was read before is no longer so.
    if (isWritten) {
      data.values = null;
      data.writes = (data.writes ?? 0) + 1;
    }
    return data.resource;
  });
  resources.forEach((buffer, at) => {
    const other = resources.indexOf(buffer);
    if (of.arrays[at]!.isWritten && other < at && buffer !== nothing)
      reject(
        `webgpu: ${of.name}`,
        `have ${of.arrays[at]!.name} apart from ${of.arrays[other]!.name}`,
        "one tensor for both",
      );
  });
  for (const part of parts)
    dispatch(part.program, {
      bindings: part.bindings.map(({ array, from, count }) =>
        count === 0
          ? { buffer: nothing }
          : { buffer: resources[array]!, offset: from * BYTES_PER_VALUE, size: count * BYTES_PER_VALUE },
      ),
      uniforms: { ...uniforms, ...part.uniforms },
      groups: part.groups,
    });
}

/** Buffers and numbers of one dispatch. */
interface Dispatch {
  readonly bindings: readonly { buffer: GpuBuffer; offset?: number; size?: number }[];
  readonly uniforms: Readonly<Record<string, number>>;
  readonly groups: Groups;
}

function dispatch(of: Program<string, string>, { bindings, uniforms, groups }: Dispatch): void {
  const own = engine();
  const { device } = own;
  const { pipelines } = compiledBy(device);
  let pipeline = pipelines.get(of);
  if (!pipeline) {
    const module = device.createShaderModule({ label: of.name, code: moduleOf(of) });
    const compute = { module, entryPoint: "main" };
    pipeline = device.createComputePipeline({ label: of.name, layout: "auto", compute });
    pipelines.set(of, pipeline);
  }
  const fields = of.uniforms.map(([name, type]) => ({ type: types[type], data: [uniforms[name]!] }));
  const bindGroup = device.createBindGroup({
    label: of.name,
    layout: pipeline.getBindGroupLayout(0),
    entries: [...bindings, own.makeUniforms(fields)].map((resource, binding) => ({ binding, resource })),
  });
  own.ensureCommandEncoderReady();
  const pass = (own.computePassEncoder ??= own.commandEncoder.beginComputePass());
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  const [x, y = 1, z = 1] =
    "count" in groups ? [Math.min(groups.count, MOST_GROUPS), Math.ceil(groups.count / MOST_GROUPS)] : groups;
  pass.dispatchWorkgroups(x, y, z);
  own.dispatchCountInPass++;
  if (own.dispatchCountInPass >= (tf.env().get("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE") as number)) {
    own.endComputePassEncoder();
    own.submitQueue();
  }
}
