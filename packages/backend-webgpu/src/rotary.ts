import { kernel, RecentlyUsed, rotaryAngles, rotaryOperation } from "@heddle/core";
import type { Kernel, RotaryCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { areVectors, headAt, placeOf, placeTypes, placeUniforms } from "./heads-in-place.ts";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, program, programs } from "./program.ts";
import { output, run } from "./run.ts";
import type { Values } from "./run.ts";

/** Cosines and sines on the device, no tensor of the user's. */
interface AngleTable {
  readonly angles: Float32Array;
  readonly values: Values;
}

/** Tables kept, as many as core keeps. */
const TABLES_KEPT = 4;

const kept = new WeakMap<Engine, RecentlyUsed<AngleTable>>();

/** WGSL's own cosines may be off by 1 / 2048, and its angles have too few digits. */
function anglesOf(call: RotaryCall): Values {
  const own = engine();
  const tables =
    kept.get(own) ??
    new RecentlyUsed<AngleTable>(TABLES_KEPT, ({ values: { dataId } }) => void own.disposeData(dataId));
  kept.set(own, tables);
  const angles = rotaryAngles(call);
  const make = (): AngleTable => {
    const { dataId } = own.makeTensorInfo([angles.length], "float32", angles);
    return { angles, values: { dataId, size: angles.length } };
  };
  return tables.get((table) => table.angles === angles, make).values;
}

interface RotaryVariant {
  readonly pairs: "half" | "interleaved";
  readonly element: "vec4f" | "f32";
}

/** An invocation turns one pair of a row, or copies one of the elements that are not turned. */
const rotaryProgram = programs(({ pairs, element }: RotaryVariant) =>
  program({
    name: `rotary.${element}.${pairs}`,
    reads: { x: element, angles: element },
    writes: { y: element },
    uniforms: {
      rows: "u32",
      depth: "u32",
      half: "u32",
      length: "u32",
      heads: "u32",
      // Tokens of the table from one batch row to the next.
      tokens: "u32",
      sign: "f32",
      ...placeTypes("x"),
    },
    code: eachIndex(
      "uniforms.rows * (uniforms.depth - uniforms.half)",
      `  let half = uniforms.half;
  let row = i / (uniforms.depth - half);
  let pair = i % (uniforms.depth - half);
  let step = row % uniforms.length;
  let head = row / uniforms.length % uniforms.heads;
  let batch = row / uniforms.length / uniforms.heads;
  let x_begin = ${headAt("x", "batch", "head")} + step * uniforms.xRow;
  let y_begin = row * uniforms.depth;
  if (pair >= half) {
    y[y_begin + half + pair] = x[x_begin + half + pair];
    return;
  }
  let angle = (batch * uniforms.tokens + step) * 2 * half + pair;
  let cosine = angles[angle];
  let sine = angles[angle + half] * uniforms.sign;
  let first = ${pairs === "half" ? "pair" : "2 * pair"};
  let second = first + ${pairs === "half" ? "half" : "1"};
  let a = x[x_begin + first];
  let b = x[x_begin + second];
  y[y_begin + first] = a * cosine - b * sine;
  y[y_begin + second] = b * cosine + a * sine;`,
    ),
  }),
);

/** The pairs of x turned by their angles, or back by them. */
function turn(call: RotaryCall, x: Tensor, sign: 1 | -1): Tensor {
  const { pairs = "half", positions } = call;
  const [batch, heads, length, depth] = x.shape as [number, number, number, number];
  const half = (call.width ?? depth) / 2;
  const place = placeOf(x);
  const vectors = pairs === "half" && half % 4 === 0 && areVectors(depth, place);
  const per = vectors ? 4 : 1;
  const rows = batch * heads * length;
  const y = output(x.shape);
  const groupsOfARow = (depth - half) / per / EACH;
  const byRow = byLine(groupsOfARow, (row) => row * depth);
  const byBatchRow = byLine(heads * length * groupsOfARow, (row) => place.begin + row * place.batch);
  run(rotaryProgram({ pairs, element: vectors ? "vec4f" : "f32" }), {
    buffers: { x: place.values, angles: anglesOf(call), y },
    uniforms: {
      rows,
      depth: depth / per,
      half: half / per,
      length,
      heads,
      tokens: positions.length === length ? 0 : length,
      sign,
      ...placeUniforms("x", place, per),
    },
    groups: eachGroups((rows * (depth - half)) / per),
    // Heads among others in rows are apart by batch rows only.
    shares: { x: place.row === depth ? byRow : byBatchRow, y: byRow },
  });
  return y;
}

/** One pass over the pairs, read where a product left them, the angles from a table that stays on the device. */
export const rotaryWebGpu: Kernel<RotaryCall> = kernel(rotaryOperation, {
  name: "rotary.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: turn(call, call.x, 1) }),
  // A rotation's transpose is the rotation back.
  gradient: ({ call, dy }) => ({ x: () => turn(call, dy, -1) }),
});
