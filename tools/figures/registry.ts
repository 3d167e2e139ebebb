import type { Measurement } from "./figure.ts";

/** A figure module, imported when it is measured. */
export type LazyMeasurement = () => Promise<{ readonly default: Measurement }>;

/** A full-size golden; one name each, so that those measured are kept. */
const fullGolden =
  (family: string, length: 128 | 1100, backend: "cpu" | "wasm" | "webgpu"): LazyMeasurement =>
  async () => ({ default: (await import("./goldens.ts")).fullGolden(family, length, backend) });

const bert =
  (threads: number): LazyMeasurement =>
  async () => ({ default: (await import("./wasm/encoders.ts")).bertFigure(threads) });

/** The figures of each issue, by the name that `npm run figures -- <issue> --only <name>` takes. */
export const issues: Readonly<Record<string, Readonly<Record<string, LazyMeasurement>>>> = {
  loom: {
    "tile-status": () => import("./tile-status.ts"),
    causality: () => import("./causality.ts"),
    goldens: () => import("./goldens.ts"),
    leaks: () => import("./leaks.ts"),
    resume: () => import("./resume.ts"),
    "goldens-gpt-128-wasm": fullGolden("gpt", 128, "wasm"),
    "goldens-bert-128-wasm": fullGolden("bert", 128, "wasm"),
    "goldens-longformer-128-wasm": fullGolden("longformer", 128, "wasm"),
    "goldens-gpt-1100-wasm": fullGolden("gpt", 1100, "wasm"),
    "goldens-bert-1100-wasm": fullGolden("bert", 1100, "wasm"),
    "goldens-longformer-1100-wasm": fullGolden("longformer", 1100, "wasm"),
    "goldens-gpt-128-cpu": fullGolden("gpt", 128, "cpu"),
    "goldens-bert-128-cpu": fullGolden("bert", 128, "cpu"),
    "goldens-longformer-128-cpu": fullGolden("longformer", 128, "cpu"),
    "goldens-gpt-128-webgpu": fullGolden("gpt", 128, "webgpu"),
    "goldens-bert-128-webgpu": fullGolden("bert", 128, "webgpu"),
    "goldens-longformer-128-webgpu": fullGolden("longformer", 128, "webgpu"),
    // In software these three take a quarter of an hour each, or more.
    "goldens-gpt-1100-webgpu": fullGolden("gpt", 1100, "webgpu"),
    "goldens-bert-1100-webgpu": fullGolden("bert", 1100, "webgpu"),
    "goldens-longformer-1100-webgpu": fullGolden("longformer", 1100, "webgpu"),
    "goldens-gpt-1100-cpu": fullGolden("gpt", 1100, "cpu"),
    "goldens-bert-1100-cpu": fullGolden("bert", 1100, "cpu"),
    "goldens-longformer-1100-cpu": fullGolden("longformer", 1100, "cpu"),
    shakespeare: () => import("./shakespeare.ts"),
  },
  wasm: {
    machine: () => import("./wasm/machine.ts"),
    linear: () => import("./wasm/linear.ts"),
    "bert-1-thread": bert(1),
    "bert-2-threads": bert(2),
    minilm: () => import("./wasm/encoders.ts"),
    decoding: () => import("./wasm/decoding.ts"),
    "attention-forward": async () => ({ default: (await import("./wasm/attention.ts")).forwardFigure }),
    "attention-backward": async () => ({ default: (await import("./wasm/attention.ts")).backwardFigure }),
    patterns: async () => ({ default: (await import("./wasm/patterns.ts")).patternsFigure }),
    crossover: async () => ({ default: (await import("./wasm/patterns.ts")).crossoverFigure }),
    training: () => import("./wasm/training.ts"),
    longformer: () => import("./wasm/longformer.ts"),
    "node-20": () => import("./wasm/node-20.ts"),
    "first-call": () => import("./wasm/first-call.ts"),
  },
  webgpu: {
    conformance: () => import("./webgpu/conformance.ts"),
    chromium: () => import("./webgpu/chromium.ts"),
    // Minutes each in software.
    "goldens-gpt-128": fullGolden("gpt", 128, "webgpu"),
    "goldens-bert-128": fullGolden("bert", 128, "webgpu"),
    "goldens-longformer-128": fullGolden("longformer", 128, "webgpu"),
    "same-losses": () => import("./webgpu/same-losses.ts"),
    counts: () => import("./webgpu/counts.ts"),
    kernels: () => import("./webgpu/kernels.ts"),
  },
};
