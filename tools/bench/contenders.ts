/** Who can run in a process of its own, by name. */
import { wasm } from "@heddle/backend-wasm";
import { startBackend } from "@heddle/core";
import { startHeddle } from "../peers/heddle.ts";
import { startJax } from "../peers/jax.ts";
import { startOnnxruntime } from "../peers/onnxruntime.ts";
import type { Peer } from "../peers/peer.ts";
import { plainWasm, startTfjs } from "../peers/tfjs.ts";
import { startTorch } from "../peers/torch.ts";
import { openProbes } from "./probe.ts";

/** Who runs, and how. */
export interface ContenderSettings {
  readonly who: keyof typeof starters;
  readonly threads: number;
  /** Of ours: code of twice the width. @default false */
  readonly wide?: boolean;
}

interface Started {
  readonly peer: Peer;
  /** What it runs on, which it may come to know only when it runs. */
  description?(): string;
}

/** The machine itself, whatever the work. */
async function startProbe(name: "peak" | "stream"): Promise<Started> {
  const probe = (await openProbes())[name];
  const prepared = {
    amount: probe.amount,
    run: async () => probe.run(),
    values: async () => new Float32Array(),
    dispose: async () => {},
  };
  return { peer: { name, prepare: async () => prepared, stop: async () => {} } };
}

const starters = {
  async heddle({ threads, wide = false }: ContenderSettings): Promise<Started> {
    const backend = await startBackend(wasm({ threads, wide }));
    return { peer: await startHeddle(), description: () => backend.description };
  },
  async tfjs({ threads }: ContenderSettings): Promise<Started> {
    if (threads !== 1) throw new Error(`tfjs must run on 1 thread in Node, got ${threads}`);
    await startBackend(plainWasm);
    return { peer: await startTfjs() };
  },
  "onnxruntime-web": async ({ threads }: ContenderSettings) => ({
    peer: await startOnnxruntime("onnxruntime-web", threads),
  }),
  "onnxruntime-node": async ({ threads }: ContenderSettings) => ({
    peer: await startOnnxruntime("onnxruntime-node", threads),
  }),
  "jax-js": async ({ threads }: ContenderSettings) => ({ peer: await startJax(threads) }),
  pytorch: async ({ threads }: ContenderSettings) => ({ peer: await startTorch(threads) }),
  peak: () => startProbe("peak"),
  stream: () => startProbe("stream"),
} as const satisfies Readonly<Record<string, (settings: never) => Promise<Started>>>;

/** Starts a contender in this process. */
export const startContender = (settings: ContenderSettings): Promise<Started> =>
  starters[settings.who](settings);
