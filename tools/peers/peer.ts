/** What every peer computes, how it is asked to, and how it answers. L length, D width of a head. */

import type { SparsePattern } from "./sparse-patterns.ts";

/** One layer: y = x w^T + bias. */
export interface LayerWork {
  readonly into: number;
  readonly out: number;
  /** [out, into], as torch keeps it. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** [out] */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** Layers one after the other, each on the result of the one before. */
export interface LinearWork {
  readonly kind: "linear";
  readonly rows: number;
  /** [rows, into of the first layer] */
  readonly x: Float32Array<ArrayBuffer>;
  readonly layers: readonly LayerWork[];
  /** After every layer; the exact one, by erf. @default none */
  readonly activation?: "gelu";
}

/** softmax(q k^T / sqrt D) v, and with `dy` the gradients of q, k and v too. */
export interface AttentionWork {
  readonly kind: "attention";
  readonly heads: number;
  readonly length: number;
  readonly width: number;
  readonly isCausal: boolean;
  /** [heads, L, D] each. */
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
  /** Gradient of the result, [heads, L, D]: the pass goes back as well. */
  readonly dy?: Float32Array<ArrayBuffer>;
  /** In place of full or causal; only ours has them. */
  readonly pattern?: SparsePattern;
}

/** The last hidden state of a saved encoder without heads, BERT or Longformer; where that is sparse, peers compute all pairs. */
export interface EncoderWork {
  readonly kind: "encoder";
  /** A Hugging Face directory. */
  readonly directory: string;
  readonly batch: number;
  readonly length: number;
  /** [batch, L] */
  readonly ids: Int32Array<ArrayBuffer>;
  /** [batch, L], 0 for padding. */
  readonly keep: Int32Array<ArrayBuffer>;
  /** Ours computes all pairs too. @default false */
  readonly dense?: boolean;
  /** So many layers of it; ours has all. @default all */
  readonly layers?: number;
}

/** The logits of one more token of a saved GPT-2. */
export interface DecodeWork {
  readonly kind: "decode";
  /** A Hugging Face directory. */
  readonly directory: string;
  readonly token: number;
  readonly heads: number;
  /** Of a head. */
  readonly width: number;
  /** Tokens in the cache. */
  readonly past: number;
  /** Keys and values of the layers in turn, [heads, past, D] each. */
  readonly cache: readonly Float32Array<ArrayBuffer>[];
}

/** Steps of training of a saved GPT-2 without dropout: gradients, clipped at norm 1, and AdamW. */
export interface TrainingWork {
  readonly kind: "training";
  /** A Hugging Face directory. */
  readonly directory: string;
  readonly batch: number;
  readonly length: number;
  /** For each step, in turn: [batch, L + 1], of which the last L are the labels. */
  readonly steps: readonly Int32Array<ArrayBuffer>[];
}

/** One data set. */
export type Work = LinearWork | AttentionWork | EncoderWork | DecodeWork | TrainingWork;

/** A peer with its data in place. */
export interface Prepared {
  /** What it runs, where it had a choice. */
  readonly form?: string;
  /** Computes data set `set` until its values can be read. A peer in another process gives its own milliseconds. */
  run(set: number): Promise<number | void>;
  /**
   * The values of data set `set`: [rows, out] of the last layer; [heads, L, D], and behind it the gradients; the hidden
   * states of the tokens that are kept; logits; the losses of the first steps of training, before any run.
   */
  values(set: number): Promise<Float32Array>;
  /** Bytes of WebAssembly heap that it takes by now, where it has one. */
  heap?(): number;
  /** Operations or bytes of a run, of what measures the machine itself. */
  readonly amount?: number;
  dispose(): Promise<void>;
}

/** Another implementation. */
export interface Peer {
  readonly name: string;
  /**
   * Takes data sets of one kind and shape; a rejection says why the peer cannot.
   * @param form One that it has a choice of, by name. @default the fastest
   */
  prepare(sets: readonly Work[], form?: string): Promise<Prepared>;
  stop(): Promise<void>;
}

/** A peer that did not start. */
export interface AbsentPeer {
  readonly name: string;
  readonly reason: string;
}

/** How many losses of training are compared. */
export const COMPARED_STEPS = 3;

/** What all do alike in training: the rate of learning, AdamW's settings (those of nanoGPT) and the greatest norm. */
export const training = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clip: 1,
} as const;

/** What a peer says of a work that it has no form of. */
export function cannot(peer: string, { kind, ...rest }: Work): never {
  const what = "dy" in rest && rest.dy ? `${kind} backward` : kind;
  throw new Error(`${peer} must have ${what}, got no form of it here`);
}

/** What an error says, in one line. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().split("\n", 1)[0]!.slice(0, 200);
}
