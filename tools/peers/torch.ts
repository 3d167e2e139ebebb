/** PyTorch on the CPU, in a child process that times itself: HEDDLE_PYTHON, else python3, where it has torch. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Peer, Prepared, Work } from "./peer.ts";

interface Answer {
  readonly version?: string;
  readonly milliseconds?: number;
  /** Base64. */
  readonly values?: string;
  readonly error?: string;
}

/** A request without its tensors. */
type Request = Readonly<Record<string, unknown>>;

/** Asks one thing after the other. */
interface Line {
  ask(request?: Request, tensors?: readonly Float32Array[]): Promise<Answer>;
}

/** What goes wrong with a process that ends, in its own last words. */
function lineTo(child: ChildProcess): Line {
  let lastWords = "";
  child
    .stderr!.setEncoding("utf8")
    .on("data", (text: string) => (lastWords = (lastWords + text).slice(-2000)));
  child.stdin!.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const failure = new Promise<never>((_, reject) => {
    child.once("error", (error) => reject(new Error(`${child.spawnfile} must start, got ${error.message}`)));
    child.once("close", () => {
      const last = lastWords.trim().split("\n").at(-1);
      reject(new Error(`${child.spawnfile} must run PyTorch, got ${last || "an end without a word"}`));
    });
  });
  failure.catch(() => undefined);
  return {
    async ask(request, tensors = []) {
      if (request) child.stdin!.write(`${JSON.stringify(request)}\n`);
      for (const { buffer, byteOffset, byteLength } of tensors)
        if (!child.stdin!.write(new Uint8Array(buffer, byteOffset, byteLength)))
          await Promise.race([once(child.stdin!, "drain"), failure]);
      const { value, done } = await Promise.race([lines.next(), failure]);
      // The end of the output comes before that of the process, which says why.
      if (done) return failure;
      const answer = JSON.parse(value as string) as Answer;
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    },
  };
}

/** The request that places a data set, and its tensors in order. */
function placing(work: Work): { readonly request: Request; readonly tensors: readonly Float32Array[] } {
  if (work.kind === "attention") {
    const shape = [1, work.heads, work.length, work.width];
    const request = { kind: "attention", isCausal: work.isCausal, shapes: [shape, shape, shape] };
    return { request, tensors: [work.q, work.k, work.v] };
  }
  const { rows, x, layers, activation = "none" } = work;
  const shapes = layers.flatMap(({ into, out }) => [[out, into], [out]]);
  return {
    request: { kind: "linear", activation, shapes: [[rows, layers[0]!.into], ...shapes] },
    tensors: [x, ...layers.flatMap(({ weight, bias }) => [weight, bias])],
  };
}

async function prepare({ ask }: Line, id: number, sets: readonly Work[]): Promise<Prepared> {
  for (const work of sets) {
    const { request, tensors } = placing(work);
    await ask({ ask: "prepare", id, ...request }, tensors);
  }
  return {
    run: async (set) => (await ask({ ask: "run", id, set })).milliseconds!,
    async values(set) {
      const { buffer, byteOffset, byteLength } = Buffer.from(
        (await ask({ ask: "values", id, set })).values!,
        "base64",
      );
      return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    },
    dispose: async () => void (await ask({ ask: "drop", id })),
  };
}

/** Rejects, with what Python said, where there is no Python or it has no torch. */
export async function startTorch(threads: number): Promise<Peer> {
  const python = process.env["HEDDLE_PYTHON"] ?? "python3";
  const script = join(import.meta.dirname, "torch_peer.py");
  const child = spawn(python, [script, String(threads)], { stdio: ["pipe", "pipe", "pipe"] });
  const line = lineTo(child);
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
