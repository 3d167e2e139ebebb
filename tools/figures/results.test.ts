import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stateOfCode } from "./results.ts";

describe("stateOfCode", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "state-"));
  });
  afterEach(() => rmSync(root, { recursive: true }));
  const git = (...args: string[]): void => {
    const author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    execFileSync("git", [...author, ...args], { cwd: root, stdio: "ignore" });
  };

  it("changes with a commit, an edit and a new file, and with nothing else", () => {
    git("init");
    writeFileSync(join(root, ".gitignore"), "out\n");
    git("add", ".");
    git("commit", "-m", "first");
    const states = [stateOfCode(root)];
    writeFileSync(join(root, "out"), "ignored");
    expect(stateOfCode(root)).toBe(states[0]);
    writeFileSync(join(root, ".gitignore"), "out\nmore\n");
    states.push(stateOfCode(root));
    writeFileSync(join(root, "new.ts"), "1");
    states.push(stateOfCode(root));
    writeFileSync(join(root, "new.ts"), "2");
    states.push(stateOfCode(root));
    git("add", ".");
    git("commit", "-m", "second");
    states.push(stateOfCode(root));
    expect(new Set(states).size).toBe(5);
  });

  it("is undefined outside a checkout", () => {
    expect(stateOfCode(root)).toBeUndefined();
  });
});
