import { describe, expect, it } from "vitest";
import { randomModifier } from "@heddle/conformance";
import { randomStream } from "@heddle/core";
import { fromInteger, lookup, score, variables } from "./builders.ts";
import { lookupDerivatives, scoreDerivative } from "./derivative.ts";
import { evaluateInteger, evaluateNumber } from "./evaluate.ts";
import { checkExpression } from "./validate.ts";

const { query, key } = variables;
const at = { query: 7, key: 4, queryLength: 12, keyLength: 12 };

/** Difference quotient in double precision. */
function slope(f: (x: number) => number, x: number): number {
  const step = 1e-5;
  return (f(x + step) - f(x - step)) / (2 * step);
}

describe("derivatives", () => {
  it("agree with difference quotients on 1,000 random modifiers, by score and by entry", () => {
    const stream = randomStream({ seed: 41 });
    let lookups = 0;
    for (let index = 0; index < 1000; index++) {
      const node = randomModifier({ seed: 42, index });
      const bias = Array.from({ length: 20 }, (_, entry) => stream.uniform(64 * index + entry) - 0.5);
      const table = [stream.uniform(64 * index + 30), stream.uniform(64 * index + 31)];
      const x = stream.uniform(64 * index + 40) * 4 - 2;
      const context = { ...at, score: x, lookups: { bias, slope: table } };
      const exact = slope((value) => evaluateNumber(node, { ...context, score: value }), x);
      const found = evaluateNumber(scoreDerivative(node), context);
      expect(Math.abs(found - exact), `modifier ${index}`).toBeLessThan(1e-6 * Math.max(1, Math.abs(exact)));
      checkExpression("derivative", scoreDerivative(node), { greatestLength: 64, heads: 4 });

      const sums = { bias: new Float64Array(20), slope: new Float64Array(2) };
      for (const { lookup: read, derivative } of lookupDerivatives(node)) {
        const entry = evaluateInteger(read.index, context);
        const name = read.table as "bias" | "slope";
        if (entry >= 0 && entry < sums[name].length)
          sums[name][entry]! += evaluateNumber(derivative, context);
        lookups++;
      }
      for (const name of ["bias", "slope"] as const)
        for (let entry = 0; entry < sums[name].length; entry++) {
          const values = context.lookups[name];
          const change = (value: number) => ({
            ...context,
            lookups: { ...context.lookups, [name]: values.with(entry, value) },
          });
          const right = slope((value) => evaluateNumber(node, change(value)), values[entry]!);
          const off = Math.abs(sums[name][entry]! - right);
          expect(off, `modifier ${index} ${name}[${entry}]`).toBeLessThan(
            1e-6 * Math.max(1, Math.abs(right)),
          );
        }
    }
    expect(lookups).toBeGreaterThan(300);
  });
  it("are as short as they can be", () => {
    expect(scoreDerivative(score.plus(lookup("slope", 0).times(fromInteger(key.minus(query)))).node)).toEqual(
      { op: "number", value: 1 },
    );
    expect(scoreDerivative(score.times(3).node)).toEqual({ op: "number", value: 3 });
    expect(scoreDerivative(score.negate().negate().node)).toEqual({ op: "number", value: 1 });
    expect(scoreDerivative(query.equals(key).select(score, score.plus(1)).node)).toEqual({
      op: "number",
      value: 1,
    });
    const [first] = lookupDerivatives(lookup("slope", 0).times(fromInteger(key)).node);
    expect(first?.derivative).toEqual(fromInteger(key).node);
  });
});
