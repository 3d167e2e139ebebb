import { concatOperation, kernel } from "@heddle/core";
import type { ConcatCall, Kernel } from "@heddle/core";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { split } from "./heads.ts";
import { byLine } from "./parts.ts";
import { EACH, eachGroups, eachIndex, program } from "./program.ts";
import { output, run } from "./run.ts";

const concatProgram = program({
  name: "concat.f32",
  reads: { x: "f32" },
  writes: { y: "f32" },
  uniforms: { size: "u32", own: "u32", width: "u32", begin: "u32" },
  code: eachIndex(
    "uniforms.size",
    "  y[i / uniforms.own * uniforms.width + uniforms.begin + i % uniforms.own] = x[i];",
  ),
});

/** Tensors seen as rows: how many values a row of each has, where these begin in a row of the result, and its width. */
function rowsOf({ parts, axis }: ConcatCall): { widths: readonly number[]; begins: number[]; width: number } {
  const widths = parts.map(({ shape }) => tf.util.sizeFromShape(shape.slice(axis)));
  const begins: number[] = [];
  let width = 0;
  for (const own of widths) {
    begins.push(width);
    width += own;
  }
  return { widths, begins, width };
}

/** Tensors one after the other along a dimension: a dispatch each. */
export function concatenate(call: ConcatCall): Tensor {
  const { parts, axis } = call;
  const { widths, begins, width } = rowsOf(call);
  const length = parts.reduce((sum, { shape }) => sum + shape[axis]!, 0);
  const y = output(parts[0]!.shape.with(axis, length));
  parts.forEach((x, n) => {
    const [own, begin] = [widths[n]!, begins[n]!];
    if (x.size === 0) return;
    const isWhole = own === x.size;
    run(concatProgram, {
      buffers: { x, y },
      uniforms: { size: x.size, own, width, begin },
      groups: eachGroups(x.size),
      shares: {
        x: EACH,
        y: isWhole
          ? ({ first: [first], end: [end] }) => [begin + first * EACH, begin + Math.min(end * EACH, own)]
          : byLine(own / EACH, (row) => row * width),
      },
    });
  });
  return y;
}

/** Copies, and cuts of the gradient. */
export const concatWebGpu: Kernel<ConcatCall> = kernel(concatOperation, {
  name: "concat.f32.webgpu.rows",
  backend: "webgpu",
  unsupported: () => [],
  needs: [],
  forward: (call) => ({ output: concatenate(call) }),
  gradient({ call, dy }) {
    const { widths, begins, width } = rowsOf(call);
    return Object.fromEntries(
      call.parts.map((part, n) => [
        `parts[${n}]`,
        () => split(dy, { heads: 1, length: 1, headWidth: widths[n]!, width, begin: begins[n]! }, part.shape),
      ]),
    );
  },
});
