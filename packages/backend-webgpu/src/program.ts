/** Kernels' programs: WGSL with its buffers and uniforms by name, compiled once a device, run among tfjs's own. */
import { reject } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine, onDevice } from "./engine.ts";
import type { ComputeDevice, ComputePipeline, GpuBuffer } from "./gpu.ts";

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
  /** Functions, and `@compute … fn main(…)`. */
  readonly code: string;
}

/** WGSL with what it is run on. */
export interface Program<B extends string, U extends string> {
  readonly name: string;
  /** The whole module. */
  readonly wgsl: string;
  /** Those that are written come last. */
  readonly buffers: readonly B[];
  readonly written: number;
  readonly uniforms: readonly (readonly [U, Scalar])[];
}

/** Groups along x, y and z. */
export type Groups = readonly [x: number, y?: number, z?: number];

/** Puts declarations of buffers and uniforms before a program's code. */
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
    ...entries(reads).map(([array, type]) => [array, type, "read"] as const),
    ...entries(writes).map(([array, type]) => [array, type, "read_write"] as const),
  ];
  const fields = entries(uniforms);
  const lines = [
    ...arrays.map(
      ([array, type, access], at) =>
        `@group(0) @binding(${at}) var<storage, ${access}> ${array}: array<${type}>;`,
    ),
    `struct Uniforms { ${fields.map(([field, type]) => `${field}: ${type}`).join(", ")} }`,
    `@group(0) @binding(${arrays.length}) var<uniform> uniforms: Uniforms;`,
    code,
  ];
  const buffers = arrays.map(([array]) => array);
  const written = arrays.filter(([, , access]) => access === "read_write").length;
  return { name, wgsl: lines.join("\n"), buffers, written, uniforms: fields };
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

/** Groups of at most as many as a device takes along x, whatever the limit: their number is `flatGroup`. */
export function flatGroups(count: number): Groups {
  const most = 65_535;
  return count <= most ? [count] : [most, Math.ceil(count / most)];
}

/** In WGSL, the number of a group of `flatGroups`, from `@builtin(workgroup_id) group` and `num_workgroups groups`. */
export const flatGroup = "(group.x + group.y * groups.x)";

/** Invocations of a group of `eachIndex`. */
const EACH = 256;

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

/** Values of 4 bytes of a tensor that follow each other, as a program's whole array. */
export interface Part {
  readonly tensor: Values;
  /** Number of the first, at an offset that the device allows: `rowParts` gives such. */
  readonly from: number;
  readonly count: number;
}

const BYTES_PER_VALUE = 4;

/** Rows of matrices of one shape that a program is given together. */
export interface RowPart {
  /** Number of the first. */
  readonly first: number;
  readonly rows: number;
  /** Those of a matrix whose values have so many bytes. @default 4 */
  of(matrix: Values, bytes?: number): Part;
}

/** Matrices as parts that the device can bind: one as a rule, of all rows. `bytes` are those of a value of each. */
export function rowParts(
  rows: number,
  width: number,
  bytes: readonly number[] = [BYTES_PER_VALUE],
): RowPart[] {
  const { maxStorageBufferBindingSize: most, minStorageBufferOffsetAlignment: alignment } = engine().device
    .limits as Readonly<Record<string, number>>;
  const [least, greatest] = [Math.min(...bytes) * width, Math.max(...bytes) * width];
  // Rows from one that a part may begin with to the next.
  let step = 1;
  while ((step * least) % alignment! !== 0) step *= 2;
  const each = Math.min(rows, Math.max(step, Math.floor(most! / greatest / step) * step));
  return Array.from({ length: Math.ceil(rows / each) || 1 }, (_, i) => {
    const first = i * each;
    const own = Math.min(each, rows - first);
    return {
      first,
      rows: own,
      of(tensor, each = BYTES_PER_VALUE) {
        const words = each / BYTES_PER_VALUE;
        return { tensor, from: first * width * words, count: Math.ceil(own * width * words) };
      },
    };
  });
}

/** What a run is over. */
export interface Run<B extends string, U extends string> {
  /** `undefined` for what the program's variant has not. */
  readonly buffers: Readonly<Record<B, Values | Part | undefined>>;
  readonly uniforms: Readonly<Record<U, number>>;
  readonly groups: Groups;
}

const types = { f32: "float32", i32: "int32", u32: "uint32" } as const;

/**
 * Records a program among the commands that are yet to be submitted. Nothing runs where there are no groups. A tensor
 * that is freed afterwards gives its buffer to the next one at once: what that is filled by is recorded later.
 */
export function run<B extends string, U extends string>(
  of: Program<B, U>,
  { buffers, uniforms, groups: [x, y = 1, z = 1] }: Run<B, U>,
): void {
  if (x * y * z === 0) return;
  const own = engine();
  const { device } = own;
  const { pipelines, nothing } = compiledBy(device);
  let pipeline = pipelines.get(of);
  if (!pipeline) {
    const module = device.createShaderModule({ label: of.name, code: of.wgsl });
    const compute = { module, entryPoint: "main" };
    pipeline = device.createComputePipeline({ label: of.name, layout: "auto", compute });
    pipelines.set(of, pipeline);
  }
  const firstWritten = of.buffers.length - of.written;
  const resources = of.buffers.map((name, at) => {
    const given = buffers[name]!;
    const { tensor, from, count } = "tensor" in given ? given : { tensor: given, from: 0, count: given.size };
    if (count === 0) return { buffer: nothing };
    const data = onDevice(tensor);
    // What was read before is no longer so.
    if (at >= firstWritten) {
      data.values = null;
      data.writes = (data.writes ?? 0) + 1;
    }
    return { buffer: data.resource, offset: from * BYTES_PER_VALUE, size: count * BYTES_PER_VALUE };
  });
  resources.forEach(({ buffer }, at) => {
    const other = resources.findIndex((resource) => resource.buffer === buffer);
    if (at >= firstWritten && other < at && buffer !== nothing)
      reject(
        `webgpu: ${of.name}`,
        `have ${of.buffers[at]} apart from ${of.buffers[other]}`,
        "one tensor for both",
      );
  });
  const fields = of.uniforms.map(([name, type]) => ({ type: types[type], data: [uniforms[name]] }));
  const bindings = [...resources, own.makeUniforms(fields)];
  const bindGroup = device.createBindGroup({
    label: of.name,
    layout: pipeline.getBindGroupLayout(0),
    entries: bindings.map((resource, binding) => ({ binding, resource })),
  });
  own.ensureCommandEncoderReady();
  const pass = (own.computePassEncoder ??= own.commandEncoder.beginComputePass());
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(x, y, z);
  own.dispatchCountInPass++;
  if (own.dispatchCountInPass >= (tf.env().get("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE") as number)) {
    own.endComputePassEncoder();
    own.submitQueue();
  }
}
