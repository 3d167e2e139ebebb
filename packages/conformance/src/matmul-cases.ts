import type { Tensor } from "@tensorflow/tfjs-core";
import type { MatmulCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

/** Normal values divided by the root of the inner length, so that the sums stay near 1. */
const scaled = (path: string, inner: number, shape: readonly number[]): Tensor =>
  drawn(path, shape, { scale: inner ** -0.25 });

interface MatmulShape {
  readonly leading: readonly number[];
  /** M, K and N. */
  readonly sizes: readonly [rows: number, inner: number, columns: number];
}

const shapes: readonly MatmulShape[] = [
  { leading: [], sizes: [1, 1, 1] },
  { leading: [], sizes: [5, 7, 3] },
  { leading: [3], sizes: [1, 33, 9] },
  { leading: [2, 3], sizes: [13, 5, 17] },
  { leading: [2], sizes: [100, 64, 40] },
  { leading: [4], sizes: [7, 530, 1] },
];

/** Calls of `matmulOperation` for the kernels of every backend. */
export const matmulCases: readonly KernelCase<MatmulCall>[] = shapes.flatMap(
  ({ leading, sizes: [m, k, n] }) =>
    [false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) => ({
        name: `[${[...leading, m, k].join(", ")}] x ${n}${transposeA ? ", aT" : ""}${transposeB ? ", bT" : ""}`,
        make: () => ({
          a: scaled("a", k, [...leading, ...(transposeA ? [k, m] : [m, k])]),
          b: scaled("b", k, [...leading, ...(transposeB ? [n, k] : [k, n])]),
          transposeA,
          transposeB,
        }),
      })),
    ),
);
