import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Figure } from "./figure.ts";
import { measure, tableOf } from "./measure.ts";
import { keepResults } from "./results.ts";

const row = (figure: string, held = true): Figure => ({ figure, target: "<= 1", measured: "0.5", held });

describe("measure", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "figures-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const first = vi.fn(async () => [row("a"), row("b", false)]);
  const second = vi.fn(async ({ progress }: { progress(text: string): void }) => {
    progress("half way");
    return [row("c")];
  });
  const broken = vi.fn(async () => Promise.reject(new Error("no data")));
  const lazy =
    <T>(measurement: T) =>
    () =>
      Promise.resolve({ default: measurement });
  const said: string[] = [];
  const options = (state: string | undefined) => ({
    issue: "loom",
    measurements: { first: lazy(first), second: lazy(second) },
    kept: keepResults(folder, state),
    context: { progress: (text: string) => void said.push(text) },
  });
  beforeEach(() => {
    vi.clearAllMocks();
    said.length = 0;
  });

  it("gives the rows of all, or of the one that is named, with progress", async () => {
    expect((await measure(options("s"))).map(({ figure }) => figure)).toEqual(["a", "b", "c"]);
    expect(said).toEqual(["first: measuring", "second: measuring", "second: half way"]);
    const only = await measure({ ...options("other"), only: "second" });
    expect(only).toEqual([row("c")]);
    await expect(measure({ ...options("s"), only: "third" })).rejects.toThrow(
      'figures: --only must be one of first, second, got "third"',
    );
  });

  it("measures again only when the code changed, or on request", async () => {
    await measure(options("s"));
    expect(await measure(options("s"))).toEqual([row("a"), row("b", false), row("c")]);
    expect(first).toHaveBeenCalledTimes(1);
    await measure(options("t"));
    expect(first).toHaveBeenCalledTimes(2);
    await measure({ ...options("t"), fresh: true });
    expect(first).toHaveBeenCalledTimes(3);
    await measure(options(undefined));
    await measure(options(undefined));
    expect(first).toHaveBeenCalledTimes(5);
  });

  it("reports what could not be measured, goes on, and tries it again", async () => {
    const measurements = { broken: lazy(broken), empty: lazy(async () => []), second: lazy(second) };
    const rows = await measure({ ...options("s"), measurements });
    expect(rows.map(({ measured, held }) => [measured, held])).toEqual([
      ["not measured: no data", false],
      ["not measured: it gave no figure", false],
      ["0.5", true],
    ]);
    await measure({ ...options("s"), measurements });
    expect(broken).toHaveBeenCalledTimes(2);
    expect(second).toHaveBeenCalledTimes(1);
  });
});

describe("tableOf", () => {
  it("aligns its columns", () => {
    expect(tableOf([row("loss"), { ...row("tensors leaked", false), measured: "12" }])).toBe(
      [
        "figure         | target | measured | held",
        "loss           | <= 1   | 0.5      | yes",
        "tensors leaked | <= 1   | 12       | NO",
      ].join("\n"),
    );
  });
});
