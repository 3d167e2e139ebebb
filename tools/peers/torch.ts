/** PyTorch on the CPU, in a child process that times itself: HEDDLE_PYTHON, else python3, where it has torch. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { lineTo, valuesOf } from "./line.ts";
import type { Line, Request } from "./line.ts";
import { COMPARED_STEPS, cannot, training } from "./peer.ts";
import type { LinearWork, Peer, Prepared, Work } from "./peer.ts";

/** The request that places a data set, and its tensors in order. */
interface Placing {
  readonly request: Request;
  readonly tensors: readonly Float32Array[];
}

function placeLinear({ rows, x, layers, activation }: LinearWork): Placing {
  const shapes = layers.flatMap(({ into, out }) => [[out, into], [out]]);
  return {
    request: {
      kind: "linear",
      activation: activation ?? "none",
      shapes: [[rows, layers[0]!.into], ...shapes],
    },
    tensors: [x, ...layers.flatMap(({ weight, bias }) => [weight, bias])],
  };
}

function placing(work: Work): Placing {
  switch (work.kind) {
    case "linear":
      return placeLinear(work);
    case "attention": {
      if (work.pattern) return cannot("pytorch", work);
      const { heads, length, width, isCausal, q, k, v, dy } = work;
      const tensors = [q, k, v, ...(dy ? [dy] : [])];
      const shapes = tensors.map(() => [1, heads, length, width]);
      return { request: { kind: "attention", isCausal, shapes }, tensors };
    }
    case "encoder": {
      const { directory, batch, length, ids, keep } = work;
      const request = { directory, batch, length, ids: [...ids], keep: [...keep], shapes: [] };
      return { request: { kind: "encoder", ...request }, tensors: [] };
    }
    case "decode": {
      const { directory, token, past, heads, width, cache } = work;
      const shapes = cache.map(() => [1, heads, past, width]);
      return { request: { kind: "decode", directory, token, shapes }, tensors: cache };
    }
    case "training": {
      const { directory, length, steps } = work;
      const request = { directory, length, steps: steps.map((step) => [...step]), shapes: [] };
      return {
        request: { kind: "training", ...request, ...training, compared: COMPARED_STEPS },
        tensors: [],
      };
    }
  }
}

async function prepare({ ask }: Line, id: number, sets: readonly Work[]): Promise<Prepared> {
  for (const work of sets) {
    const { request, tensors } = placing(work);
    await ask({ ask: "prepare", id, ...request }, tensors);
  }
  return {
    run: async (set) => (await ask({ ask: "run", id, set })).milliseconds!,
    values: async (set) => valuesOf(await ask({ ask: "values", id, set })),
    dispose: async () => void (await ask({ ask: "drop", id })),
  };
}

/** Rejects, with what Python said, where there is no Python or it has no torch. */
export async function startTorch(threads: number): Promise<Peer> {
  const python = process.env["HEDDLE_PYTHON"] ?? "python3";
  const script = join(import.meta.dirname, "torch_peer.py");
  const child = spawn(python, [script, String(threads)], { stdio: ["pipe", "pipe", "pipe"] });
  const line = lineTo(child, "PyTorch");
  await line.ask();
  let works = 0;
  return {
    name: "pytorch",
    prepare: (sets) => prepare(line, works++, sets),
    async stop() {
      const closed = once(child, "close");
      child.stdin!.end();
      await closed;
    },
  };
}
