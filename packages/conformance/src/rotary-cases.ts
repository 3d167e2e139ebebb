import type { RotaryCall } from "@heddle/core";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

type RotaryInput = Omit<RotaryCall, "x" | "positions"> & {
  /** B, H, L, D */
  readonly shape: readonly [number, number, number, number];
  /** Whether every batch row has positions of its own. */
  readonly ragged?: boolean;
};

const shapes: readonly RotaryInput[] = [
  { shape: [1, 1, 1, 2] },
  { shape: [2, 3, 5, 6] },
  { shape: [2, 2, 7, 64], ragged: true },
  { shape: [1, 2, 40, 20], width: 10 },
  { shape: [2, 1, 3, 7], width: 4, ragged: true },
  { shape: [1, 2, 9, 16], base: 500 },
];

/** Calls of `rotaryOperation` for the kernels of every backend. */
export const rotaryCases: readonly KernelCase<RotaryCall>[] = shapes.flatMap(
  ({ shape, ragged, ...options }) =>
    (["half", "interleaved"] as const).map((pairs) => ({
      name: `[${shape.join(", ")}], ${pairs}, ${JSON.stringify({ ragged, ...options })}`,
      make: () => {
        const [batch, , length] = shape;
        const positions = Int32Array.from(
          { length: (ragged ? batch : 1) * length },
          (_, i) => 3 * i + 1000 * (i % 2),
        );
        return { x: drawn("x", shape), positions, pairs, ...options };
      },
    })),
);
