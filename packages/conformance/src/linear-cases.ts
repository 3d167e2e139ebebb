import { activeBackend } from "@heddle/core";
import type { Activation, LinearCall, MatrixLayout } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

interface LinearShape {
  readonly rows: readonly number[];
  readonly into: number;
  readonly out: number;
  readonly layout?: MatrixLayout;
  readonly bias?: boolean;
  readonly activation?: Activation;
  readonly residual?: boolean;
  /** The weight in the layout of the active backend. */
  readonly packed?: boolean;
}

function callOf({
  rows,
  into,
  out,
  layout = "linear",
  bias = true,
  activation,
  residual,
  packed,
}: LinearShape): LinearCall {
  const weight = drawn("weight", layout === "linear" ? [out, into] : [into, out], {
    scale: 1 / Math.sqrt(into),
  });
  const packing = packed ? activeBackend()?.packing : undefined;
  return {
    x: drawn("x", [...rows, into]),
    weight: packing
      ? { kind: "packed", packing, layout, shape: weight.shape, values: packing.pack(weight, layout) }
      : weight,
    layout,
    ...(bias && { bias: drawn("bias", [out]) }),
    ...(activation && { activation }),
    ...(residual && { residual: drawn("residual", [...rows, out]) }),
  };
}

const shapes: readonly LinearShape[] = [
  { rows: [1], into: 1, out: 1 },
  { rows: [1], into: 7, out: 5 },
  { rows: [1], into: 64, out: 48, activation: "gelu" },
  { rows: [2, 3], into: 13, out: 17, bias: false },
  { rows: [3], into: 71, out: 77, activation: "gelu" },
  { rows: [5], into: 3, out: 16 },
  { rows: [7], into: 96, out: 33, activation: "relu" },
  { rows: [2, 50], into: 31, out: 19, activation: "gelu_new" },
  { rows: [97], into: 8, out: 8, activation: "silu" },
  { rows: [193], into: 40, out: 72, activation: "tanh" },
  { rows: [4], into: 1030, out: 9 },
  { rows: [13], into: 600, out: 130, activation: "gelu" },
  // A residual on each way through the kernels: one row, few rows, tiles, edges, several blocks.
  { rows: [1], into: 9, out: 5, bias: false, residual: true },
  { rows: [1], into: 64, out: 48, residual: true },
  { rows: [3], into: 33, out: 70, activation: "tanh", residual: true },
  { rows: [2, 3], into: 40, out: 32, residual: true },
  { rows: [7], into: 96, out: 33, activation: "relu", residual: true },
  { rows: [2, 100], into: 530, out: 45, activation: "gelu", residual: true },
];

const nameOf = ({ rows, into, out, bias = true, activation, residual }: LinearShape): string =>
  [
    `[${[...rows, into].join(", ")}] to ${out}`,
    ...(bias ? [] : ["no bias"]),
    ...(activation ? [activation] : []),
    ...(residual ? ["residual"] : []),
  ].join(", ");

/** Calls of `linearOperation` for the kernels of every backend: both layouts, plain and in the backend's packing. */
export const linearCases: readonly KernelCase<LinearCall>[] = shapes.flatMap((shape) =>
  (["linear", "conv1d"] as const).flatMap((layout) =>
    [false, true].map((packed) => ({
      name: `${nameOf(shape)}, ${layout}${packed ? ", packed" : ""}`,
      make: () => callOf({ ...shape, layout, packed }),
      differentiable: !packed,
    })),
  ),
);
