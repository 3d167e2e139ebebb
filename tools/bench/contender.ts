/** A contender in a process of its own: what one leaves in memory, and the threads it keeps, do not meet the others. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { lineTo, valuesOf } from "../peers/line.ts";
import type { ContenderSettings } from "./contenders.ts";
import type { WorkSpec } from "./works.ts";

/** A work in place in the process. */
export interface RemoteWork {
  /** What it runs, where it had a choice. */
  readonly form?: string;
  /** Operations or bytes of a run, of what measures the machine itself. */
  readonly amount?: number;
  /**
   * Gives the milliseconds that it took there.
   * @param passes So many, one after the other, on this data set and those that follow; a pass's share is given. @default 1
   */
  run(set: number, passes?: number): Promise<number>;
  values(set: number): Promise<Float32Array>;
  /** Bytes of WebAssembly heap, where it has one. */
  heap(): Promise<number | undefined>;
  drop(): Promise<void>;
}

export interface RemoteContender {
  /** Of its process. */
  readonly pid: number;
  /** Milliseconds that its start took, from when its code was loaded. */
  readonly started: number;
  /** What it said last of what it runs on. */
  readonly description: string | undefined;
  prepare(spec: WorkSpec, form?: string): Promise<RemoteWork>;
  stop(): Promise<void>;
}

/** A Node, and the file of the child that it can run. */
export interface Runtime {
  readonly node: string;
  readonly file: string;
}

/** This Node, which runs the sources. */
const thisNode: Runtime = {
  node: process.execPath,
  file: fileURLToPath(new URL("contender-child.ts", import.meta.url)),
};

/** Milliseconds after each run until threads that wait actively have given up. */
const SETTLE = 20;

/** What is put before the command of a process to keep it on the first core: nothing where Linux does not. */
const pinned: readonly string[] = ((prefix: readonly string[]) =>
  spawnSync(prefix[0]!, [...prefix.slice(1), "true"]).status === 0 ? prefix : [])(["taskset", "-c", "0"]);

/**
 * Starts a contender; rejects with its reason when it cannot run. Those of one thread run on the same core, so that
 * what else the machine does there disturbs them alike: on two, one was seen to take half as long again for minutes.
 */
export async function openContender(
  settings: ContenderSettings,
  { node, file }: Runtime = thisNode,
): Promise<RemoteContender> {
  const line = [node, "-C", "@heddle/source", file, JSON.stringify(settings)];
  const [command, ...words] = settings.threads === 1 ? [...pinned, ...line] : line;
  const child = spawn(command!, words, { stdio: ["pipe", "pipe", "pipe"] });
  const { ask } = lineTo(child, settings.who);
  const { milliseconds: started = 0, form } = await ask();
  let description = form;
  let works = 0;
  return {
    pid: child.pid!,
    started,
    get description() {
      return description;
    },
    async prepare(spec, wanted) {
      const id = works++;
      const { form: chosen, amount } = await ask({ ask: "prepare", id, spec, form: wanted });
      return {
        ...(chosen !== undefined && { form: chosen }),
        ...(amount !== undefined && { amount }),
        async run(set, passes = 1) {
          const { milliseconds, form: now } = await ask({ ask: "run", id, set, passes });
          description = now ?? description;
          await wait(SETTLE);
          return milliseconds! / passes;
        },
        values: async (set) => valuesOf(await ask({ ask: "values", id, set })),
        heap: async () => (await ask({ ask: "heap", id })).heap,
        drop: async () => void (await ask({ ask: "drop", id })),
      };
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, "close");
      child.stdin.end();
      await closed;
    },
  };
}
