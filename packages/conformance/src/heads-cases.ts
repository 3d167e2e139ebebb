import type { MergeHeadsCall, SplitHeadsCall } from "@heddle/attention";
import { drawn } from "./drawn.ts";
import type { KernelCase } from "./test-kernel.ts";

type Split = Omit<SplitHeadsCall, "x"> & { readonly shape: readonly number[] };

const splits: readonly Split[] = [
  { shape: [1, 1, 1], heads: 1 },
  { shape: [2, 9, 15], heads: 3 },
  { shape: [1, 1, 2304], heads: 12, headWidth: 64, begin: 768 },
  { shape: [1, 40, 768], heads: 12 },
  { shape: [2, 17, 96], heads: 4, headWidth: 8, begin: 64 },
  { shape: [2, 17, 96], heads: 2, headWidth: 8, begin: 0 },
  { shape: [3, 33, 23], heads: 2, headWidth: 7, begin: 5 },
  { shape: [2, 5, 7], heads: 3, headWidth: 1, begin: 2 },
  { shape: [2, 0, 6], heads: 2 },
];

/** Calls of `splitHeadsOperation` for the kernels of every backend. */
export const splitHeadsCases: readonly KernelCase<SplitHeadsCall>[] = splits.map(({ shape, ...call }) => ({
  name: `[${shape.join(", ")}], ${call.heads} heads of ${call.headWidth ?? "all"} from ${call.begin ?? 0}`,
  make: () => ({ x: drawn("x", shape), ...call }),
}));

/** Calls of `mergeHeadsOperation` for the kernels of every backend. */
export const mergeHeadsCases: readonly KernelCase<MergeHeadsCall>[] = [
  [1, 1, 1, 1],
  [2, 3, 9, 5],
  [1, 12, 40, 64],
  [3, 2, 33, 7],
  [1, 12, 1, 64],
  [2, 2, 0, 3],
].map((shape) => ({ name: `[${shape.join(", ")}]`, make: () => ({ x: drawn("x", shape) }) }));
