/** Kernels' programs: WGSL with its buffers and uniforms by name, compiled once a device, run among tfjs's own. */
import { reject } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine, onDevice } from "./engine.ts";
import type { ComputeDevice, ComputePipeline, GpuBuffer } from "./gpu.ts";
import { partsOf } from "./parts.ts";
import type { Share } from "./parts.ts";

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
const MOST_GROUPS = 65_535;

/** Groups of which only the number counts. */
export const flatGroups = (count: number): Groups => ({ count });

/** In WGSL, the number of a group of `flatGroups`, from `@builtin(workgroup_id) group` and `num_workgroups groups`. */
export const flatGroup = "(group.x + group.y * groups.x)";

/** Invocations of a group of `eachIndex`. */
export const EACH = 256;

/** In WGSL, `main` for each `i` below a count, one an invocation. */
export const eachIndex = (count: string, body: string): string => `
@compute @workgroup_size(${EACH})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = ${flatGroup} * ${EACH} + lane;
  if (i >= ${count}) { return; }
${body}
}`;

/** The groups of such a program. */
export const eachGroups = (count: number): Groups => flatGroups(Math.ceil(count / EACH));

/** A new tensor for a program to fill; until then its values are whatever was there. */
export function output(shape: readonly number[], dtype: "float32" | "int32" = "float32"): Tensor {
  const tensor = tf.engine().makeTensorFromTensorInfo(engine().makeTensorInfo(shape, dtype));
  // No program will give it a buffer.
  if (tensor.size === 0)
    engine().tensorMap.get(tensor.dataId).values = tf.util.getTypedArrayFromDType(dtype, 0);
  return tensor;
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
