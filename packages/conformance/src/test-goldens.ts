import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { differentiate } from "@heddle/core";
import { beforeAll, describe, expect, it } from "vitest";
import { largestDifference, relativeDifference } from "./difference.ts";
import type { Differences } from "./difference.ts";
import { readGolden } from "./golden.ts";
import type { Golden } from "./golden.ts";
import { useBackend } from "./use-backend.ts";
import type { BackendName } from "./use-backend.ts";

/** One case of a golden, as the function that computes it sees it. */
export interface GoldenCall {
  /** Float inputs by name; gradients are taken by them. */
  readonly tensors: Readonly<Record<string, Tensor>>;
  /** An integer or boolean input. */
  integers(name: string): Int32Array<ArrayBuffer>;
  /** The shape of any input. */
  shape(name: string): readonly number[];
  /** The case's settings. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The output wanted. */
  readonly output: string;
}

/** What computes each case; a string says why the case is not computed. */
export type GoldenTable = Readonly<Record<string, string | ((call: GoldenCall) => Tensor)>>;

/** Which backend, and how far its results may be. */
export interface GoldenRule {
  readonly backend: BackendName;
  /** Greatest absolute difference of an output. */
  readonly forward: number;
  /** Greatest difference of a gradient, as a share of the case's largest gradient entry. */
  readonly gradient: number;
}

/** Computes a case of a golden on the active backend, forward and backward, and compares it. Frees what it makes. */
export async function caseDifferences(
  golden: Golden,
  name: string,
  compute: (call: GoldenCall) => Tensor,
): Promise<Differences> {
  const parts = (role: string): string[] =>
    golden.names.flatMap((path) =>
      path.startsWith(`${name}/${role}/`) ? [path.slice(name.length + role.length + 2)] : [],
    );
  const made: Tensor[] = [];
  const tensor = (path: string): Tensor => {
    const fresh = tf.tensor(golden.floats(path), [...golden.tensor(path).shape]);
    made.push(fresh);
    return fresh;
  };
  const inputs = parts("input").filter(
    (input) => !input.startsWith("cotangent.") && golden.tensor(`${name}/input/${input}`).dtype === "F32",
  );
  const tensors = Object.fromEntries(inputs.map((input) => [input, tensor(`${name}/input/${input}`)]));
  const options = (golden.info["options"] as Record<string, Record<string, unknown>>)[name]!;
  const sums = new Map<string, Float64Array>();
  let largest = 0;
  for (const output of parts("output")) {
    const call: GoldenCall = {
      tensors,
      integers: (input) => golden.integers(`${name}/input/${input}`),
      shape: (input) => golden.tensor(`${name}/input/${input}`).shape,
      options,
      output,
    };
    const cotangent = `${name}/input/cotangent.${output}`;
    // Without one the case has no gradients.
    const { value, gradients } = golden.names.includes(cotangent)
      ? differentiate(() => compute(call), Object.values(tensors), tensor(cotangent))
      : { value: tf.tidy(() => compute(call)), gradients: [] };
    made.push(value, ...gradients.filter((gradient) => gradient !== null));
    expect(value.shape, `shape of ${output}`).toEqual(golden.tensor(`${name}/output/${output}`).shape);
    const expected = golden.floats(`${name}/output/${output}`);
    largest = Math.max(largest, largestDifference(await value.data(), expected));
    for (const [i, input] of inputs.entries()) {
      if (!gradients[i]) continue;
      expect(gradients[i].shape).toEqual(tensors[input]!.shape);
      const values = await gradients[i].data();
      const sum = sums.get(input) ?? new Float64Array(values.length);
      values.forEach((value, at) => (sum[at] = sum[at]! + value));
      sums.set(input, sum);
    }
  }
  tf.dispose(made);
  const wanted = parts("gradient");
  expect([...sums.keys()].toSorted()).toEqual(wanted.toSorted());
  const join = (lists: readonly ArrayLike<number>[]): number[] => lists.flatMap((list) => Array.from(list));
  const expected = wanted.map((input) => golden.floats(`${name}/gradient/${input}`));
  const found = wanted.map((input) => sums.get(input)!);
  return { output: largest, gradient: relativeDifference(join(found), join(expected)) };
}

/** Every case of a golden of operations on one backend, forward and backward, as tests. */
export function testGoldens(url: URL, table: GoldenTable, rule: GoldenRule): void {
  describe(`goldens on ${rule.backend}`, () => {
    useBackend(rule.backend);
    let golden: Golden;
    beforeAll(async () => {
      golden = await readGolden(url);
    });
    it("computes or explains every case of the file", () => {
      expect(Object.keys(table).toSorted()).toEqual(Object.keys(golden.info["options"] as object).toSorted());
    });
    for (const [name, compute] of Object.entries(table)) {
      if (typeof compute === "string") it.skip(`${name}: ${compute}`, () => undefined);
      else
        it(name, async () => {
          const { output, gradient } = await caseDifferences(golden, name, compute);
          expect(output, "outputs").toBeLessThan(rule.forward);
          expect(gradient, "gradients").toBeLessThan(rule.gradient);
        });
    }
  });
}
