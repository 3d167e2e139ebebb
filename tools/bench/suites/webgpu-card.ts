/** What is asked of a graphics card: products, attention and whole models in the sizes that are used. Small in software. */
import { attentionOperation, full, slidingWindow } from "@heddle/attention";
import type { AttentionPattern } from "@heddle/attention";
import { webgpu } from "@heddle/backend-webgpu";
import { createWeights, matmulOperation, run, startBackend } from "@heddle/core";
import { generateTokens } from "@heddle/generation";
import { bert, bertPresets, gpt, gptPresets } from "@heddle/models";
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { ensureSoftwareGpu } from "../../software-gpu/node.ts";
import { integers } from "../data.ts";
import { openFmaRate } from "../fma-rate.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { composedAttention } from "./attention-kernels.ts";
import type { Qkv } from "./attention-kernels.ts";
import { contenders, HEAD } from "./kernel-case.ts";

const tiny = { vocabularySize: 256, maxLength: 256, width: 64, layers: 2, heads: 2 } as const;

/** As they are asked for. */
const onCard = {
  product: 2048,
  heads: 12,
  length: 4096,
  long: 16_384,
  window: 256,
  gpt: { name: "GPT-2 124M", config: gptPresets.gpt2 },
  bert: { name: "BERT-base", config: bertPresets.base, batch: 32, length: 128 },
  tokens: 16,
} as const;

/** The same in little, so that the command itself can be tried. */
const inSoftware = {
  product: 128,
  heads: 2,
  length: 128,
  long: 256,
  window: 16,
  gpt: { name: "a tiny GPT", config: tiny },
  bert: { name: "a tiny BERT", config: tiny, batch: 2, length: 32 },
  tokens: 4,
} as const;

type Sizes = typeof onCard | typeof inSoftware;

/** Tokens of the prompt. */
const PROMPT = 16;

async function productCase(size: number, isSmall: boolean): Promise<BenchCase> {
  const [a, b] = [tf.randomUniform([size, size]), tf.randomUniform([size, size])] as [Tensor, Tensor];
  const operations = 2 * size ** 3;
  const rate = await openFmaRate({ small: isSmall });
  const contender = contenders(1);
  return {
    name: `matMul ${size}x${size}x${size}`,
    sets: 1,
    ours: contender(() => tf.dispose(tf.tidy(() => run(matmulOperation, { a, b })))),
    peers: {
      tfjs: contender(() => tf.dispose(tf.matMul(a, b))),
      "multiply and add alone": async () => ((await rate.time()) * operations) / rate.operations,
    },
    rate: { unit: "GFLOP/s", amount: operations / 1e9 },
    dispose: () => tf.dispose([a, b]),
  };
}

/** Attention of all pairs against tfjs's, or of a window against all pairs of our own. */
function attentionCase(heads: number, length: number, window?: number): BenchCase {
  const draw = (): Tensor => tf.randomUniform([1, heads, length, HEAD], -1, 1);
  const qkv: Qkv = { q: draw(), k: draw(), v: draw() };
  // One at a time: scores of all pairs take the most memory that there is.
  const contender = contenders(1, 1);
  const ours = (pattern: AttentionPattern) =>
    contender(() => tf.dispose(tf.tidy(() => run(attentionOperation, { ...qkv, pattern }))));
  const of = `${heads} heads of ${HEAD}, T ${length}`;
  return {
    name: window === undefined ? `attention, ${of}` : `attention, ${of}, window ${window} each side`,
    sets: 1,
    ours: ours(window === undefined ? full() : slidingWindow({ before: window, after: window })),
    peers:
      window === undefined
        ? { tfjs: contender(() => tf.dispose(tf.tidy(() => composedAttention(qkv, { isCausal: false })))) }
        : { "our dense": ours(full()) },
    dispose: () => tf.dispose([qkv.q, qkv.k, qkv.v]),
  };
}

/** Greedy tokens, one after the other. */
function decodingCase({ gpt: { name, config }, tokens }: Sizes): BenchCase {
  const model = gpt({ ...config }, createWeights({ seed: 1 }));
  const { maxLength } = model.config;
  const begin = () =>
    generateTokens(model, { ids: [...integers(PROMPT, 100)], maxNewTokens: maxLength - PROMPT })[
      Symbol.asyncIterator
    ]();
  let said = begin();
  return {
    name: `${name}, greedy decoding after ${PROMPT} tokens`,
    sets: 1,
    async ours() {
      const start = performance.now();
      for (let token = 0; token < tokens; token++) if ((await said.next()).done) said = begin();
      return (performance.now() - start) / tokens;
    },
    peers: {},
    rate: { unit: "tokens/s", amount: 1 },
    async dispose() {
      await said.return?.(undefined);
      model.dispose();
    },
  };
}

function encodingCase({ bert: { name, config, batch, length } }: Sizes): BenchCase {
  const model = bert({ ...config }, createWeights({ seed: 1 }));
  const ids = Array.from({ length: batch }, () => [...integers(length, 100)]);
  const contender = contenders(1, 1);
  return {
    name: `${name}, batch ${batch}, S ${length}`,
    sets: 1,
    ours: contender(() => model.forward({ ids }, { logits: "none" }).dispose()),
    peers: {},
    rate: { unit: "sequences/s", amount: batch },
    dispose: () => model.dispose(),
  };
}

/** Starts WebGPU on the graphics card, or in software with small cases. */
export async function webgpuCard(): Promise<BenchSuite> {
  await ensureSoftwareGpu({ keepInstalled: true });
  const backend = await startBackend(webgpu());
  const isSmall = backend.description.includes("software");
  const sizes = isSmall ? inSoftware : onCard;
  return {
    threads: 1,
    mode: backend.description,
    async *cases() {
      yield await productCase(sizes.product, isSmall);
      yield attentionCase(sizes.heads, sizes.length);
      yield attentionCase(sizes.heads, sizes.long, sizes.window);
      yield decodingCase(sizes);
      yield encodingCase(sizes);
    },
    stop: () => backend.dispose(),
  };
}
