/** Where the program of `consumer/` must run, and what the backend must say of itself there. */
import type { SiteName } from "./sites.ts";

/** A start of Node with the tarballs installed. */
export interface NodeHost {
  readonly threads: 1 | 2;
  /** The program runs in a thread of Node. */
  readonly inWorker: boolean;
  readonly says: string;
}

/** A page in Chromium, which asks for two threads or for WebGPU. */
export interface PageHost {
  readonly site: SiteName;
  /** What of the page is special, for people. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  /** `?file` gives the option `worker`, `?worker` runs the program in a worker, `?webgpu` on WebGPU. */
  readonly query: string;
  readonly says: string;
  /** How far its values may be from those of WASM. @default 0 */
  readonly within?: number;
}

const simd = (threads: string): string => `SIMD, ${threads}, tile`;

export const nodeHosts: readonly NodeHost[] = [
  { threads: 1, inWorker: false, says: simd("1 thread") },
  { threads: 2, inWorker: false, says: simd("2 threads") },
  { threads: 2, inWorker: true, says: simd("2 threads") },
];

const isolated = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};
const strict = {
  ...isolated,
  "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'",
};
const notIsolated = simd("1 thread (the page is not cross-origin isolated)");
const noBlobs = simd(
  "1 thread (a worker did not start: it could not be loaded from a blob, which a content security policy may forbid; " +
    "the option worker takes its file)",
);
/** Sums in an order of its own, of which no bits are asked. */
export const onWebGpu = { says: "webgpu", within: 1e-3 };

const all: readonly SiteName[] = ["Vite's build", "Vite's dev server", "webpack", "a page without a bundler"];
/** Import maps know of no workers. */
const bundled = all.slice(0, 3);
/** An import map and the dev server's client are scripts in the page, which the policy forbids. */
const built: readonly SiteName[] = ["Vite's build", "webpack"];

export const pageHosts: readonly PageHost[] = [
  ...all.flatMap((site) => [
    { site, name: "isolated", headers: isolated, query: "", says: simd("2 threads") },
    { site, name: "isolated, the worker's file", headers: isolated, query: "?file", says: simd("2 threads") },
    { site, name: "not isolated", headers: {}, query: "", says: notIsolated },
    { site, name: "WebGPU, not isolated", headers: {}, query: "?webgpu", ...onWebGpu },
  ]),
  ...bundled.flatMap((site) => [
    { site, name: "in a worker", headers: isolated, query: "?worker", says: simd("2 threads") },
  ]),
  ...built.flatMap((site) => [
    {
      site,
      name: "strict policy, the worker's file",
      headers: strict,
      query: "?file",
      says: simd("2 threads"),
    },
    { site, name: "strict policy", headers: strict, query: "", says: noBlobs },
    { site, name: "WebGPU, strict policy", headers: strict, query: "?webgpu", ...onWebGpu },
    {
      site,
      name: "WebGPU in a worker, strict policy",
      headers: strict,
      query: "?webgpu&worker",
      ...onWebGpu,
    },
  ]),
];
