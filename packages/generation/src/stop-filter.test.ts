import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkStop, createStopFilter } from "./stop-filter.ts";

function filtered(stop: readonly string[], pieces: readonly string[]): string[] {
  const filter = createStopFilter(stop);
  const out: string[] = [];
  for (const piece of pieces) {
    const { text, stopped } = filter.push(piece);
    out.push(text);
    if (stopped) return [...out, "|"];
  }
  return [...out, filter.flush()];
}

describe("createStopFilter", () => {
  it("lets all through without stop texts", () => {
    expect(filtered([], ["a", "bc"])).toEqual(["a", "bc", ""]);
  });
  it("holds back what may become a stop text", () => {
    expect(filtered(["END"], ["xE", "N", "x", "EN", "DEN"])).toEqual(["x", "", "ENx", "", "", "|"]);
    expect(filtered(["END"], ["xE", "N"])).toEqual(["x", "", "EN"]);
    expect(filtered(["aab"], ["a", "a", "a", "b"])).toEqual(["", "", "a", "", "|"]);
  });
  it("ends at the text that is complete first", () => {
    expect(filtered(["abcd", "bc"], ["abcd"])).toEqual(["a", "|"]);
    expect(filtered(["bc", "abc"], ["xabc"])).toEqual(["x", "|"]);
  });

  it("does the same however the text is cut, and gives out all that is certain", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "🙂"), maxLength: 24 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "🙂"), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(letters, stops, fc.array(fc.nat({ max: 24 }), { maxLength: 6 }), (text, stop, cuts) => {
        const characters = [...text];
        const places = [0, ...cuts.toSorted((a, b) => a - b), characters.length];
        const pieces = places.slice(1).map((end, i) => characters.slice(places[i], end).join(""));
        const ends = characters.map((_, i) => characters.slice(0, i + 1).join(""));
        const ended = ends.find((part) => stop.some((sequence) => part.endsWith(sequence)));
        const longest = stop
          .filter((sequence) => ended?.endsWith(sequence))
          .reduce((a, { length }) => Math.max(a, length), 0);
        const expected = ended === undefined ? text : ended.slice(0, ended.length - longest);
        const found = filtered(stop, pieces);
        expect(found.at(-1) === "|").toBe(ended !== undefined);
        expect(found.filter((piece) => piece !== "|").join("")).toBe(expected);
        for (const piece of found) expect(piece).not.toMatch(/\p{Surrogate}/u);
        // Nothing that is certain is held: what is given out so far, and the longest beginning of a stop text.
        const filter = createStopFilter(stop);
        let [given, pushed] = ["", ""];
        for (const character of characters) {
          const { text: out, stopped } = filter.push(character);
          if (stopped) break;
          given += out;
          pushed += character;
          const held = pushed.slice(given.length);
          expect(held === "" || stop.some((sequence) => sequence.startsWith(held))).toBe(true);
        }
      }),
      { seed: 11, numRuns: 500 },
    );
  });
});

describe("checkStop", () => {
  it("refuses what can stop nothing", () => {
    expect(() => checkStop("generate: stop", ["a", ""])).toThrow(
      'generate: stop[1] must be a text of 1 character or more, got ""',
    );
    expect(() => checkStop("generate: stop", ["\ud83d"])).toThrow("generate: stop[0] must be a text");
  });
});
