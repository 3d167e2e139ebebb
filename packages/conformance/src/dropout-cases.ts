import type { DropoutCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

interface DropoutInput {
  readonly shape: readonly number[];
  readonly rate: number;
  readonly seed?: number;
}

const inputs: readonly DropoutInput[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((size) => ({ shape: [size], rate: 0.5 })),
  { shape: [3, 4099], rate: 0.1 },
  { shape: [2, 5, 64], rate: 1 / 3, seed: 2 ** 53 - 1 },
  { shape: [100], rate: 0 },
  { shape: [100], rate: 1 - 2 ** -24 },
  { shape: [1000], rate: 2 ** -30 },
];

/** Calls of `dropoutOperation` for the kernels of every backend. */
export const dropoutCases: readonly KernelCase<DropoutCall>[] = inputs.map(({ shape, rate, seed = 4 }) => ({
  name: `[${shape.join(", ")}], rate ${rate}, seed ${seed}`,
  make: () => ({
    x: drawn("x", shape),
    rate,
    address: { seed, path: "h.0.mlp", step: 7 },
  }),
}));
