import type { ConcatCall, SliceCall, TransposeCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

const orders: readonly { readonly shape: readonly number[]; readonly order: readonly number[] }[] = [
  { shape: [5], order: [0] },
  { shape: [3, 4], order: [0, 1] },
  { shape: [3, 4], order: [1, 0] },
  { shape: [13, 37], order: [1, 0] },
  { shape: [2, 9, 3, 5], order: [0, 2, 1, 3] },
  { shape: [1, 40, 12, 64], order: [0, 2, 1, 3] },
  { shape: [2, 3, 4], order: [0, 2, 1] },
  { shape: [2, 3, 4], order: [1, 2, 0] },
  { shape: [2, 3, 4, 5], order: [2, 3, 0, 1] },
  { shape: [2, 3, 4, 5], order: [0, 3, 1, 2] },
  { shape: [2, 0, 3], order: [0, 2, 1] },
];

/** Calls of `transposeOperation` for the kernels of every backend. */
export const transposeCases: readonly KernelCase<TransposeCall>[] = orders.map(({ shape, order }) => ({
  name: `[${shape.join(", ")}] to [${order.join(", ")}]`,
  make: () => ({ x: drawn("x", shape), order }),
}));

const cuts: readonly (readonly [shape: readonly number[], axis: number, begin: number, size: number])[] = [
  [[1], 0, 0, 1],
  [[9], 0, 3, 5],
  [[4, 7], 0, 1, 2],
  [[4, 7], 1, 6, 1],
  [[2, 50, 96], 2, 32, 32],
  [[2, 5, 3, 4], 1, 0, 3],
  [[2, 5, 3, 4], 2, 1, 2],
  [[2, 3, 0], 1, 1, 2],
];

/** Calls of `sliceOperation` for the kernels of every backend. */
export const sliceCases: readonly KernelCase<SliceCall>[] = cuts.map(([shape, axis, begin, size]) => ({
  name: `[${shape.join(", ")}], ${size} from ${begin} of dimension ${axis}`,
  make: () => ({ x: drawn("x", shape), axis, begin, size }),
}));

const joins: readonly (readonly [shapes: readonly (readonly number[])[], axis: number])[] = [
  [[[3]], 0],
  [[[3], [5]], 0],
  [
    [
      [4, 3],
      [1, 3],
      [300, 3],
    ],
    0,
  ],
  [
    [
      [4, 3],
      [4, 1],
      [4, 70],
    ],
    1,
  ],
  [
    [
      [2, 5, 3, 4],
      [2, 1, 3, 4],
    ],
    1,
  ],
  [
    [
      [2, 0, 3],
      [2, 2, 3],
    ],
    1,
  ],
];

/** Calls of `concatOperation` for the kernels of every backend. */
export const concatCases: readonly KernelCase<ConcatCall>[] = joins.map(([shapes, axis]) => ({
  name: `${JSON.stringify(shapes)} along dimension ${axis}`,
  make: () => ({ parts: shapes.map((shape, i) => drawn(`part ${i}`, shape)), axis }),
}));
