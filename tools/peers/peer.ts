/** What every peer computes, how it is asked to, and how it answers. L length, D width of a head. */

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

/** softmax(q k^T / sqrt D) v. */
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
}

/** One data set. */
export type Work = LinearWork | AttentionWork;

/** A peer with its data in place. */
export interface Prepared {
  /** What it runs, where it had a choice. */
  readonly form?: string;
  /** Computes data set `set` until its values can be read. A peer in another process gives its own milliseconds. */
  run(set: number): Promise<number | void>;
  /** The values of data set `set`: [rows, out] of the last layer, or [heads, L, D]. */
  values(set: number): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Another implementation. */
export interface Peer {
  readonly name: string;
  /** Takes data sets of one kind and shape; a rejection says why the peer cannot. */
  prepare(sets: readonly Work[]): Promise<Prepared>;
  stop(): Promise<void>;
}

/** A peer that did not start. */
export interface AbsentPeer {
  readonly name: string;
  readonly reason: string;
}

/** What an error says, in one line. */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().split("\n", 1)[0]!.slice(0, 200);
}
