import { parseArgs } from "node:util";
import { HeddleError, checkOneOf, reject } from "@heddle/core";
import type { EntryJson } from "@heddle/core";

/** What the command line asks for. */
export interface Options {
  readonly steps: number;
  readonly seed: number;
  readonly backend: "cpu" | "wasm" | "webgpu";
  /** JSON of the attention to train with. */
  readonly attention: EntryJson;
  /** Folder that receives the checkpoint. */
  readonly out: string;
  /** File that receives the results. */
  readonly json?: string;
}

export const usage = `npm run quickstart -- [options]
  --steps N          training steps (600)
  --seed N           seed of weights, batches and sample (1)
  --backend NAME     cpu, wasm or webgpu (wasm)
  --attention JSON   attention to train with ({"name":"full"}), for example '{"name":"sliding-window","before":31}'
  --out DIR          folder of the checkpoint (out/quickstart)
  --json FILE        also write the results to a file
  --help             this text`;

function wholeNumber(flag: string, text: string, min: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < min)
    reject(`quickstart: --${flag}`, `be an integer >= ${min}`, text);
  return value;
}

function json(flag: string, text: string): EntryJson {
  try {
    return JSON.parse(text) as EntryJson;
  } catch (cause) {
    throw new HeddleError("invalid-argument", `quickstart: --${flag} must be JSON, got ${text}`, { cause });
  }
}

/** Reads the command line; undefined when it asks for help. @throws HeddleError, or parseArgs' own error for an unknown flag. */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      steps: { type: "string", default: "600" },
      seed: { type: "string", default: "1" },
      backend: { type: "string", default: "wasm" },
      attention: { type: "string", default: '{"name":"full"}' },
      out: { type: "string", default: "out/quickstart" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { backend } = values;
  checkOneOf("quickstart: --backend", backend, ["cpu", "wasm", "webgpu"]);
  return {
    steps: wholeNumber("steps", values.steps, 1),
    seed: wholeNumber("seed", values.seed, 0),
    backend,
    attention: json("attention", values.attention),
    out: values.out,
    ...(values.json !== undefined && { json: values.json }),
  };
}
