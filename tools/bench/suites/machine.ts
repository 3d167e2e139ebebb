/** What one thread of this machine can do at most in WebAssembly: what the other suites' numbers are shares of. */
import { openProbes } from "../probe.ts";
import type { Probe } from "../probe.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";

function probeCase(name: string, unit: "GFLOP/s" | "GB/s", { run, amount }: Probe): BenchCase {
  return {
    name,
    sets: 1,
    ours: async () => run(),
    peers: {},
    rate: { unit, amount: amount / 1e9 },
    dispose() {},
  };
}

/** Compiles the probes. */
export async function machine(): Promise<BenchSuite> {
  const { instructions, peak, stream } = await openProbes();
  return {
    threads: 1,
    mode: `WebAssembly ${instructions === "simd" ? "SIMD" : "relaxed SIMD"}, 1 thread`,
    *cases() {
      yield probeCase("peak of multiply and add", "GFLOP/s", peak);
      yield probeCase("reading from DRAM", "GB/s", stream);
    },
    stop: async () => {},
  };
}
