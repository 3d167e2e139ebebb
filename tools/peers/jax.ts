/** jax-js on WebAssembly, jitted. Its arrays are counted: a function that uses one ends it, unless given its `ref`. */
import { swapOuter, transpose } from "./layout.ts";
import { cannot } from "./peer.ts";
import type { AttentionWork, LinearWork, Peer, Prepared, Work } from "./peer.ts";

/** What of jax-js is used here: it is not installed with the workspace. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}
type Compute = (...inputs: readonly JaxArray[]) => JaxArray;
interface Jax {
  init(...devices: string[]): Promise<string[]>;
  defaultDevice(device: string): string;
  jit(compute: Compute): Compute & { dispose(): void };
  readonly numpy: {
    array(values: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
  readonly nn: {
    gelu(x: JaxArray, options: { approximate: boolean }): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray, options: { isCausal: boolean }): JaxArray;
  };
}

/** A computation and, for each data set, what goes into it. */
interface Plan {
  readonly compute: Compute;
  readonly inputs: readonly (readonly JaxArray[])[];
  arrange(values: Float32Array): Float32Array;
}

function planLinear({ numpy, nn }: Jax, sets: readonly LinearWork[]): Plan {
  const { layers, activation } = sets[0]!;
  const place = (values: Float32Array, shape: readonly number[]): JaxArray =>
    numpy.array(values).reshape(shape);
  return {
    compute: (x, ...weights) =>
      layers.reduce((y, _, i) => {
        const sum = numpy.matmul(y, weights[2 * i]!).add(weights[2 * i + 1]!);
        return activation ? nn.gelu(sum, { approximate: false }) : sum;
      }, x!),
    inputs: sets.map((set) => [
      place(set.x, [set.rows, set.layers[0]!.into]),
      ...set.layers.flatMap(({ weight, bias, into, out }) => [
        place(transpose(weight, out, into), [into, out]),
        place(bias, [out]),
      ]),
    ]),
    arrange: (values) => values,
  };
}

function planAttention({ numpy, nn }: Jax, sets: readonly AttentionWork[]): Plan {
  const { heads, length, width, isCausal } = sets[0]!;
  return {
    compute: (q, k, v) => nn.dotProductAttention(q!, k!, v!, { isCausal }),
    // It wants [L, heads, D].
    inputs: sets.map(({ q, k, v }) =>
      [q, k, v].map((x) => numpy.array(swapOuter(x, heads, length, width)).reshape([length, heads, width])),
    ),
    arrange: (values) => swapOuter(values, length, heads, width),
  };
}

function planOf(jax: Jax, sets: readonly Work[]): Plan {
  const first = sets[0]!;
  const all = <K extends Work["kind"]>(kind: K): Extract<Work, { kind: K }>[] =>
    sets.filter((set): set is Extract<Work, { kind: K }> => set.kind === kind);
  if (first.kind === "linear") return planLinear(jax, all("linear"));
  if (first.kind === "attention" && !first.dy && !first.pattern) return planAttention(jax, all("attention"));
  return cannot("jax-js", first);
}

async function prepare(jax: Jax, sets: readonly Work[]): Promise<Prepared> {
  const { compute, inputs, arrange } = planOf(jax, sets);
  const jitted = jax.jit(compute);
  const read = (set: number): Promise<Float32Array> => jitted(...inputs[set]!.map(({ ref }) => ref)).data();
  return {
    run: async (set) => void (await read(set)),
    values: async (set) => arrange(await read(set)),
    async dispose() {
      jitted.dispose();
      for (const array of inputs.flat()) array.dispose();
    },
  };
}

/** One thread: its workers need those of a page. */
export async function startJax(threads: number): Promise<Peer> {
  if (threads !== 1) throw new Error(`jax-js must run on 1 thread outside a page, got ${threads}`);
  const name: string = "@jax-js/jax";
  const jax = (await import(name)) as Jax;
  if (!(await jax.init()).includes("wasm")) throw new Error("jax-js must have its device wasm, got none");
  jax.defaultDevice("wasm");
  return { name: "jax-js", prepare: (sets) => prepare(jax, sets), stop: async () => {} };
}
