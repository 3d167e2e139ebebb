// npm run soak -- --minutes 10 [--seed N]: random shapes, threads, aborts and heap growth on WASM, until one fails.
import { parseArgs } from "node:util";
import { soakRound } from "./round.ts";

const usage = "npm run soak -- [--minutes N] [--seed N]";

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  process.exitCode = 1;
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0) || text.trim() === "")
    throw new RangeError(`soak: ${name} must be a number from 0 on, got "${text}"`);
  return value;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { minutes: { type: "string", default: "10" }, seed: { type: "string", default: "1" } },
  });
  const [minutes, first] = [numberOf("minutes", values.minutes), numberOf("seed", values.seed)];
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 60_000;
  let [actions, rounds, heap, printed] = [0, 0, 0, 0];
  const forms = new Map<string, number>();
  const summary = (): string =>
    `${elapsed().toFixed(1)} min: ${rounds} rounds, ${actions} actions, greatest heap ${Math.round(heap / 2 ** 20)} MB`;
  do {
    const seed = first + rounds;
    try {
      const round = await soakRound(seed);
      actions += round.actions;
      heap = Math.max(heap, round.heap);
      forms.set(round.description, (forms.get(round.description) ?? 0) + 1);
    } catch (error) {
      console.error(
        `${summary()}\nfailed with --seed ${seed}: ${error instanceof Error ? error.message : String(error)}`,
      );
      return 1;
    }
    rounds++;
    if (elapsed() < printed + 1) continue;
    console.log(summary());
    printed = Math.floor(elapsed());
  } while (elapsed() < minutes);
  for (const [form, times] of [...forms].toSorted()) console.log(`${times} x ${form}`);
  console.log(`${summary()}, 0 failed`);
  return 0;
}
