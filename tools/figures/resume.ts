// Training killed at random moments and resumed, against a run that was left alone: every loss to the last bit.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomStream } from "@heddle/core";
import type { Figure, FigureContext } from "./figure.ts";

const child = fileURLToPath(new URL("resume-child.ts", import.meta.url));

/** A child process's report. */
interface Outcome {
  /** The bits of each loss that it reported, by step. */
  readonly losses: ReadonlyMap<number, string>;
  readonly killed: boolean;
}

/** Runs the child until its end, or until some milliseconds after its step `afterSteps`, 0 for its start. */
function runChild(
  directory: string,
  steps: number,
  kill?: { readonly afterSteps: number; readonly milliseconds: number },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, ["-C", "@heddle/source", child, directory, String(steps)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const losses = new Map<number, string>();
    let [text, errors] = ["", ""];
    let timer: NodeJS.Timeout | undefined;
    const killIfDue = (): void => {
      if (kill && losses.size >= kill.afterSteps)
        timer ??= setTimeout(() => running.kill("SIGKILL"), kill.milliseconds);
    };
    killIfDue();
    running.stdout.setEncoding("utf8").on("data", (piece: string) => {
      const lines = (text + piece).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const [step = "", bits = ""] = line.split(" ");
        losses.set(Number(step), bits);
      }
      killIfDue();
    });
    running.stderr.setEncoding("utf8").on("data", (piece: string) => (errors += piece));
    running.on("error", reject);
    running.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0 || signal === "SIGKILL") resolve({ losses, killed: signal === "SIGKILL" });
      else reject(new Error(`the child must train, got exit code ${code}: ${errors.slice(-500)}`));
    });
  });
}

/** How a run that was killed again and again compares with one that was left alone. */
export interface ResumeResult {
  readonly kills: number;
  readonly steps: number;
  /** Losses that were reported, those of repeated steps among them. */
  readonly compared: number;
  /** How many differ in any bit from the run that was left alone. */
  readonly different: number;
  /** Steps that no run reported: those whose process was killed after it saved and before it could tell. */
  readonly untold: number;
  /** Whether model and moments are the same bytes in the end. */
  readonly sameFiles: boolean;
}

/** Kills a run `kills` times, each at a random moment, resumes it each time, and lets the last one finish. */
export async function killAndResume(
  { kills, seed }: { readonly kills: number; readonly seed: number },
  progress: (text: string) => void = () => undefined,
): Promise<ResumeResult> {
  const steps = 6 * kills + 6;
  const folder = mkdtempSync(join(tmpdir(), "heddle-resume-"));
  try {
    const whole = await runChild(join(folder, "whole"), steps);
    const stream = randomStream({ seed, path: "resume" });
    const seen = new Set<number>();
    const result = { kills: 0, steps, compared: 0, different: 0 };
    for (;;) {
      const i = result.kills;
      const afterSteps = stream.integer(2 * i, 6);
      const milliseconds = (afterSteps === 0 ? 800 : 30) * stream.uniform(2 * i + 1);
      const kill = i < kills ? { afterSteps, milliseconds } : undefined;
      const outcome = await runChild(join(folder, "killed"), steps, kill);
      for (const [step, bits] of outcome.losses) {
        seen.add(step);
        result.compared++;
        if (whole.losses.get(step) !== bits) result.different++;
      }
      if (!outcome.killed) break;
      result.kills++;
      progress(`killed ${result.kills} of ${kills} times, the last step was ${Math.max(0, ...seen)}`);
    }
    const same = ["model.safetensors", "optimizer.safetensors"].every((file) =>
      readFileSync(join(folder, "whole", file)).equals(readFileSync(join(folder, "killed", file))),
    );
    return { ...result, untold: steps - seen.size, sameFiles: same };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Takes one to three minutes. */
export default async function resumeFigure({ progress }: FigureContext): Promise<Figure[]> {
  const { kills, compared, different, untold, sameFiles } = await killAndResume(
    { kills: 20, seed: 3 },
    progress,
  );
  const files = sameFiles ? "the same weights and moments" : "other weights or moments";
  return [
    {
      figure: "training resumed after SIGKILL: losses that differ in a bit",
      target: "0 after 20 kills",
      measured: `${different} of ${compared} after ${kills} kills, ${untold} untold, ${files} in the end`,
      held: different === 0 && sameFiles && kills === 20 && untold <= kills,
    },
  ];
}
