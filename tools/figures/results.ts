import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Figure } from "./figure.ts";

/** What was measured, kept between runs for as long as the code is the same. */
export interface KeptResults {
  read(issue: string, name: string): readonly Figure[] | undefined;
  write(issue: string, name: string, figures: readonly Figure[]): void;
}

interface Kept {
  readonly state: string;
  readonly figures: readonly Figure[];
}

/** @param state of the code; results of another state are not read. Undefined: nothing is kept. */
export function keepResults(folder: string, state: string | undefined): KeptResults {
  const fileOf = (issue: string, name: string): string => join(folder, issue, `${name}.json`);
  return {
    read(issue, name) {
      try {
        const kept = JSON.parse(readFileSync(fileOf(issue, name), "utf8")) as Kept;
        return state !== undefined && kept.state === state ? kept.figures : undefined;
      } catch {
        return undefined;
      }
    },
    write(issue, name, figures) {
      if (state === undefined) return;
      const kept: Kept = { state, figures };
      mkdirSync(dirname(fileOf(issue, name)), { recursive: true });
      writeFileSync(fileOf(issue, name), `${JSON.stringify(kept, null, 2)}\n`);
    },
  };
}

/** The commit, and a hash of what differs from it; undefined outside a git checkout. */
export function stateOfCode(root: string): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync("git", args, {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 2 ** 28,
    });
  try {
    const commit = git("rev-parse", "HEAD").trim();
    const hash = createHash("sha256").update(git("diff", "HEAD"));
    const untracked = git("ls-files", "--others", "--exclude-standard", "-z").split("\0").filter(Boolean);
    for (const file of untracked) hash.update(file).update(readFileSync(join(root, file)));
    return `${commit} ${hash.digest("hex")}`;
  } catch {
    return undefined;
  }
}
