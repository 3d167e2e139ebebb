/** What a WebGPU device can do at most in single precision: chains of fused multiply and add, none waiting for another. */
import * as tf from "@tensorflow/tfjs-core";

/** Vectors of four that an invocation multiplies and adds to in turn. */
const CHAINS = 8;
const INVOCATIONS = 256;
/** Groups, and turns of each. */
const [GROUPS, TURNS] = [2048, 512];
/** Milliseconds that a measurement takes at least, where these are not too many dispatches. */
const [LONG, MOST_DISPATCHES] = [10, 64];

const chains = Array.from({ length: CHAINS }, (_, i) => i);

/** The start and the factor come from memory, so that the compiler knows nothing of them. */
const code = (turns: number): string => `
@group(0) @binding(0) var<storage, read_write> values: array<vec4f>;
@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = values[0];
  ${chains.map((i) => `var x${i} = values[${i}] + f32(id.x);`).join("\n  ")}
  for (var turn = 0; turn < ${turns}; turn++) {
    ${chains.map((i) => `x${i} = fma(x${i}, factor, factor);`).join("\n    ")}
  }
  let sum = ${chains.map((i) => `x${i}`).join(" + ")};
  // Never so, which the compiler does not know either.
  if (sum.x == 12345.678) { values[0] = sum; }
}`;

/** What one measurement found. */
export interface FmaRate {
  /** Operations of one dispatch: two a multiply and add. */
  readonly operations: number;
  /** Milliseconds of a dispatch. */
  time(): Promise<number>;
}

/** Compiles it for the device of the active backend. */
export async function openFmaRate({ small }: { small: boolean }): Promise<FmaRate> {
  const { device } = tf.backend() as unknown as { device: GPUDevice };
  const [groups, turns] = small ? [8, 32] : [GROUPS, TURNS];
  const module = device.createShaderModule({ code: code(turns) });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const buffer = device.createBuffer({ size: 16 * CHAINS, usage: GPUBufferUsage.STORAGE });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  async function run(dispatches: number): Promise<number> {
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(groups);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  }
  await run(1);
  const dispatches = Math.min(MOST_DISPATCHES, Math.max(1, Math.ceil(LONG / (await run(1)))));
  return {
    operations: groups * INVOCATIONS * turns * CHAINS * 4 * 2,
    time: async () => (await run(dispatches)) / dispatches,
  };
}
