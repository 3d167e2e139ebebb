import type { ResidualCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

const shapes: readonly { readonly x: readonly number[]; readonly y: readonly number[] }[] = [
  { x: [], y: [] },
  { x: [7], y: [7] },
  { x: [3, 5000], y: [3, 5000] },
  { x: [2, 3, 5], y: [5] },
  { x: [2, 3, 5], y: [3, 5] },
  { x: [4, 1, 5], y: [5] },
  { x: [2, 3, 5], y: [2, 1, 5] },
  { x: [2, 3, 5, 4], y: [2, 1, 1, 4] },
  { x: [2, 3, 5], y: [2, 3, 1] },
  { x: [2, 3, 5], y: [] },
  { x: [2, 1, 5], y: [1, 5] },
  { x: [60, 129], y: [1, 129] },
  { x: [2, 0], y: [2, 0] },
];

/** Calls of `residualOperation` for the kernels of every backend. */
export const residualCases: readonly KernelCase<ResidualCall>[] = shapes.map(({ x, y }) => ({
  name: `[${x.join(", ")}] + [${y.join(", ")}]`,
  make: () => ({ x: drawn("x", x), y: drawn("y", y) }),
}));
