/** Asking a process: a line of JSON for each request, its tensors' bytes behind it, and a line of JSON for each answer. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What a process answers. */
export interface Answer {
  readonly milliseconds?: number;
  /** Base64 of float32. */
  readonly values?: string;
  /** What it runs, where it had a choice. */
  readonly form?: string;
  /** Operations or bytes of a run. */
  readonly amount?: number;
  /** Bytes of WebAssembly heap. */
  readonly heap?: number;
  readonly error?: string;
}

/** A request without its tensors. */
export type Request = Readonly<Record<string, unknown>>;

/** Asks one thing after the other. */
export interface Line {
  /** Without a request it waits for what the process says when it has started. */
  ask(request?: Request, tensors?: readonly Float32Array[]): Promise<Answer>;
}

/** A line to a process that must run something; when it ends, that is said in its own last words. */
export function lineTo(child: ChildProcess, what: string): Line {
  let lastWords = "";
  child
    .stderr!.setEncoding("utf8")
    .on("data", (text: string) => (lastWords = (lastWords + text).slice(-2000)));
  child.stdin!.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const failure = new Promise<never>((_, reject) => {
    child.once("error", (error) => reject(new Error(`${child.spawnfile} must start, got ${error.message}`)));
    child.once("close", (_, signal) => {
      const last = lastWords.trim().split("\n").at(-1);
      const end = signal === null ? "an end without a word" : `the signal ${signal}`;
      reject(new Error(`${child.spawnfile} must run ${what}, got ${last || end}`));
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

/** The values in an answer. */
export function valuesOf({ values = "" }: Answer): Float32Array {
  const { buffer, byteOffset, byteLength } = Buffer.from(values, "base64");
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}
