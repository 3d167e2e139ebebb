/** Works by what distinguishes them: few words that another process can make the same data sets from. */
import type { AttentionWork, EncoderWork, LayerWork, LinearWork, Work } from "../peers/peer.ts";
import { setsBeyondCaches, values } from "./data.ts";
import { modelDirectory } from "./saved-models.ts";
import type { SavedModelName } from "./saved-models.ts";

export interface LinearSpec extends Pick<LinearWork, "kind" | "rows" | "activation"> {
  /** Widths before, between and after the layers. */
  readonly widths: readonly number[];
}

/** 12 heads of 64. */
export interface AttentionSpec extends Pick<AttentionWork, "kind" | "length" | "pattern"> {
  /** @default false */
  readonly isCausal?: boolean;
  /** Whether the gradients are computed too. @default false */
  readonly backward?: boolean;
}

export interface EncoderSpec extends Pick<EncoderWork, "kind" | "batch" | "length" | "dense" | "layers"> {
  readonly model: SavedModelName;
  /** Whether a fifth of each row is padding, a little more or less from row to row. @default false */
  readonly padded?: boolean;
}

/** GPT-2 124M. */
export interface DecodeSpec {
  readonly kind: "decode";
  /** Tokens in the cache. */
  readonly past: number;
}

/** nanoGPT's CPU settings. */
export interface TrainingSpec {
  readonly kind: "training";
}

export type WorkSpec = LinearSpec | AttentionSpec | EncoderSpec | DecodeSpec | TrainingSpec;

const HEADS = 12;
const WIDTH = 64;
/** Bytes of one data set that a pass reads and writes. */
function bytesOf(spec: WorkSpec): number {
  switch (spec.kind) {
    case "linear": {
      const { rows, widths } = spec;
      const floats = widths.slice(1).reduce((sum, out, i) => sum + out * widths[i]! + out + rows * out, 0);
      return 4 * (rows * widths[0]! + floats);
    }
    case "attention":
      // q, k, v and the result, and as many gradients.
      return 4 * (spec.backward ? 8 : 4) * HEADS * spec.length * WIDTH;
    case "encoder":
      // The weights but the table of words.
      return spec.model === "minilm-l6" ? 43e6 : 340e6;
    case "decode":
      return 500e6;
    case "training":
      // A run, whose data change from step to step.
      return Infinity;
  }
}

/** How many data sets a work has: as many as it takes that no pass finds its own in the caches. */
export function setCount(spec: WorkSpec): number {
  return Math.max(1, setsBeyondCaches(bytesOf(spec)));
}

const sets = <W>(spec: WorkSpec, make: (seed: number) => W): W[] =>
  Array.from({ length: setCount(spec) }, (_, seed) => make(seed));

function linearWorks(spec: LinearSpec): LinearWork[] {
  const { rows, widths, activation } = spec;
  return sets(spec, (seed) => ({
    kind: "linear",
    rows,
    x: values(rows * widths[0]!, { seed, path: "x" }),
    layers: widths.slice(1).map((out, i): LayerWork => {
      const into = widths[i]!;
      // Each layer's results are as great as what goes into it.
      const deviation = Math.sqrt(1 / into);
      const weight = values(into * out, { seed, path: `weight/${i}`, deviation });
      return { into, out, weight, bias: values(out, { seed, path: `bias/${i}`, deviation: 0.1 }) };
    }),
    ...(activation && { activation }),
  }));
}

function attentionWorks(spec: AttentionSpec): AttentionWork[] {
  const { length, isCausal = false, backward = false, pattern } = spec;
  const count = HEADS * length * WIDTH;
  return sets(spec, (seed) => {
    const part = (path: string): Float32Array<ArrayBuffer> => values(count, { seed, path });
    return {
      kind: "attention",
      heads: HEADS,
      length,
      width: WIDTH,
      isCausal,
      q: part("q"),
      k: part("k"),
      v: part("v"),
      ...(backward && { dy: part("dy") }),
      ...(pattern && { pattern }),
    };
  });
}

/** Ids of ordinary tokens. */
function tokens(count: number, below: number, seed: number): Int32Array<ArrayBuffer> {
  const drawn = values(count, { seed, path: "tokens" });
  return Int32Array.from(drawn, (value) => 2 + (Math.floor(Math.abs(value) * 1e6) % (below - 2)));
}

/** 1 for each token that is kept: 4 of 5, in each further row 1 in 16 less. */
export function keptTokens(batch: number, length: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: batch * length }, (_, i) => {
    const row = Math.floor(i / length);
    return i % length < Math.floor(length * (0.8 - (row % 8) / 16)) ? 1 : 0;
  });
}

function encoderWorks(spec: EncoderSpec): EncoderWork[] {
  const { model, batch, length, padded = false, dense, layers } = spec;
  return sets(spec, (seed) => ({
    kind: "encoder",
    directory: modelDirectory(model, seed),
    batch,
    length,
    ids: tokens(batch * length, 30_000, seed),
    keep: padded ? keptTokens(batch, length) : new Int32Array(batch * length).fill(1),
    ...(dense && { dense }),
    ...(layers && { layers }),
  }));
}

/** The data sets of a work, the same in every process; models must have been saved. */
export function worksOf(spec: WorkSpec): Work[] {
  switch (spec.kind) {
    case "linear":
      return linearWorks(spec);
    case "attention":
      return attentionWorks(spec);
    case "encoder":
      return encoderWorks(spec);
    case "decode": {
      const cache = Array.from({ length: 24 }, (_, i) =>
        values(HEADS * spec.past * WIDTH, { seed: 1, path: `cache/${i}` }),
      );
      const shape = { heads: HEADS, width: WIDTH, past: spec.past };
      return [{ kind: "decode", directory: modelDirectory("gpt2", 0), token: 1000, ...shape, cache }];
    }
    case "training": {
      const [batch, length] = [12, 64];
      const steps = Array.from({ length: 16 }, (_, step) => tokens(batch * (length + 1), 65, step));
      return [{ kind: "training", directory: modelDirectory("nanogpt-cpu", 0), batch, length, steps }];
    }
  }
}

/** The models that a work stands on, by seed. */
export function modelsOf(spec: WorkSpec): (readonly [SavedModelName, number])[] {
  if (spec.kind === "decode") return [["gpt2", 0]];
  if (spec.kind === "training") return [["nanogpt-cpu", 0]];
  if (spec.kind !== "encoder") return [];
  return Array.from({ length: setCount(spec) }, (_, seed) => [spec.model, seed] as const);
}
