import { describe, expect, it } from "vitest";
import { breathe } from "./index.ts";

describe("breathe", () => {
  it("lets timers have their turn", async () => {
    const rang: string[] = [];
    setTimeout(() => rang.push("timer"), 1);
    const start = performance.now();
    while (rang.length === 0 && performance.now() - start < 5000) await breathe();
    expect(rang).toEqual(["timer"]);
  });
});
