import { kernel, rotaryOperation } from "@heddle/core";
import type { Kernel, RotaryCall } from "@heddle/core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { engine } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, output, program, programs, run } from "./program.ts";
import type { Values } from "./program.ts";

/** Cosines and sines of the angles of some tokens. */
interface AngleTable {
  readonly positions: Int32Array;
  readonly base: number;
  readonly width: number;
  /** On the device, no tensor of the user's: [tokens, 2, width / 2]. */
  readonly angles: Values;
}

/** Tables kept, since all layers of a model turn by the same angles, and back by them. */
const TABLES_KEPT = 4;

/** Of each device, the one used last in front. */
const kept = new WeakMap<Engine, AngleTable[]>();

function anglesOf({ x, positions, base = 10_000, width = x.shape[3]! }: RotaryCall): Values {
  const own = engine();
  const tables = kept.get(own) ?? [];
  kept.set(own, tables);
  const at = tables.findIndex(
    (table) =>
      table.base === base &&
      table.width === width &&
      table.positions.length === positions.length &&
      table.positions.every((position, i) => position === positions[i]),
  );
  const found = at >= 0 ? tables.splice(at, 1)[0]! : makeTable(positions.slice(), base, width);
  tables.unshift(found);
  for (const { angles } of tables.splice(TABLES_KEPT)) own.disposeData(angles.dataId);
  return found.angles;
}

/** WGSL's own cosines may be off by 1 / 2048, and its angles have too few digits. */
function makeTable(positions: Int32Array, base: number, width: number): AngleTable {
  const half = width / 2;
  const frequencies = Float64Array.from({ length: half }, (_, i) => base ** ((-2 * i) / width));
  const values = new Float32Array(positions.length * width);
  for (const [token, position] of positions.entries())
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i]!;
      values[token * width + i] = Math.cos(angle);
      values[token * width + half + i] = Math.sin(angle);
    }
  const { dataId } = engine().makeTensorInfo([values.length], "float32", values);
  return { positions, base, width, angles: { dataId, size: values.length } };
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
      headRows: "u32",
      sign: "f32",
    },
    code: eachIndex(
      "uniforms.rows * (uniforms.depth - uniforms.half)",
      `  let half = uniforms.half;
  let row = i / (uniforms.depth - half);
  let pair = i % (uniforms.depth - half);
  let begin = row * uniforms.depth;
  if (pair >= half) {
    y[begin + half + pair] = x[begin + half + pair];
    return;
  }
  let token = row / uniforms.headRows * uniforms.length + row % uniforms.length;
  let cosine = angles[token * 2 * half + pair];
  let sine = angles[token * 2 * half + half + pair] * uniforms.sign;
  let first = begin + ${pairs === "half" ? "pair" : "2 * pair"};
  let second = first + ${pairs === "half" ? "half" : "1"};
  y[first] = x[first] * cosine - x[second] * sine;
  y[second] = x[second] * cosine + x[first] * sine;`,
    ),
  }),
);

/** The pairs of x turned by their angles, or back by them. */
function turn(call: RotaryCall, x: Tensor, sign: 1 | -1): Tensor {
  const { pairs = "half", positions } = call;
  const [batch, heads, length, depth] = x.shape as [number, number, number, number];
  const half = (call.width ?? depth) / 2;
  const vectors = pairs === "half" && half % 4 === 0 && depth % 4 === 0;
  const values = vectors ? 4 : 1;
  const rows = batch * heads * length;
  const y = output(x.shape);
  const wholeRows = byLine((depth - half) / values / EACH, (row) => row * depth);
  run(rotaryProgram({ pairs, element: vectors ? "vec4f" : "f32" }), {
    buffers: { x, angles: anglesOf(call), y },
    uniforms: {
      rows,
      depth: depth / values,
      half: half / values,
      length,
      // Rows of all heads that share their angles: of a batch row, or of all.
      headRows: positions.length === length ? rows : heads * length,
      sign,
    },
    groups: eachGroups((rows * (depth - half)) / values),
    shares: { x: wholeRows, y: wholeRows },
  });
  return y;
}

/** One pass over the pairs, the angles from a table that stays on the device. */
export const rotaryWebGpu: Kernel<RotaryCall> = kernel(rotaryOperation, {
  name: "rotary.f32.webgpu",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: turn(call, call.x, 1) }),
  // A rotation's transpose is the rotation back.
  gradient: ({ call, dy }) => ({ x: () => turn(call, dy, -1) }),
});
