// A contender in a process of its own, asked by contender.ts: node contender-child.ts '<settings as JSON>'
import { createInterface } from "node:readline";
import { startContender } from "./contenders.ts";
import type { ContenderSettings } from "./contenders.ts";
import { worksOf } from "./works.ts";
import type { WorkSpec } from "./works.ts";
import type { Answer } from "../peers/line.ts";
import type { Prepared } from "../peers/peer.ts";

type Question =
  | { readonly ask: "prepare"; readonly id: number; readonly spec: WorkSpec; readonly form?: string }
  | { readonly ask: "run"; readonly id: number; readonly set: number; readonly passes: number }
  | { readonly ask: "values"; readonly id: number; readonly set: number }
  | { readonly ask: "heap" | "drop"; readonly id: number };

const say = (answer: Answer): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
const sayError = (error: unknown): void =>
  say({ error: error instanceof Error ? error.message : String(error) });

// Standard output is for answers.
console.log = console.error;

/** With the number of its data sets. */
interface PreparedSets extends Prepared {
  readonly sets: number;
}

const prepared = new Map<number, PreparedSets>();
const begun = performance.now();
try {
  const { peer, description } = await startContender(JSON.parse(process.argv[2]!) as ContenderSettings);
  say({ milliseconds: performance.now() - begun, ...(description && { form: description() }) });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(JSON.parse(line) as Question));
    } catch (error) {
      sayError(error);
    }
  }
  await peer.stop();
  // Workers of peers may be left.
  process.exit(0);

  async function answer(question: Question): Promise<Answer> {
    if (question.ask === "prepare") {
      const start = performance.now();
      const { spec, form } = question;
      const works = worksOf(spec);
      const made = await peer.prepare(works, form);
      prepared.set(question.id, Object.assign(made, { sets: works.length }));
      const { form: chosen, amount } = made;
      return {
        milliseconds: performance.now() - start,
        ...(chosen !== undefined && { form: chosen }),
        ...(amount !== undefined && { amount }),
      };
    }
    const made = prepared.get(question.id)!;
    switch (question.ask) {
      case "run": {
        let milliseconds = 0;
        for (let pass = 0; pass < question.passes; pass++) {
          const start = performance.now();
          const own = await made.run((question.set + pass) % made.sets);
          milliseconds += own ?? performance.now() - start;
        }
        return { milliseconds, ...(description && { form: description() }) };
      }
      case "values": {
        const { buffer, byteOffset, byteLength } = await made.values(question.set);
        return { values: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64") };
      }
      case "heap": {
        const heap = made.heap?.();
        return heap === undefined ? {} : { heap };
      }
      case "drop":
        prepared.delete(question.id);
        await made.dispose();
        return {};
    }
  }
} catch (error) {
  sayError(error);
  process.exit(1);
}
