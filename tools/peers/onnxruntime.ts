/** onnxruntime, as WebAssembly and native. */
import { checkAgreement } from "./agreement.ts";
import type { GraphForm } from "./graph-form.ts";
import { graphForms } from "./graphs.ts";
import { writeModel } from "./onnx.ts";
import type { Graph } from "./onnx.ts";
import { reasonOf } from "./peer.ts";
import type { Peer, Prepared, Work } from "./peer.ts";

/** What of onnxruntime-common is used here: its packages are not installed with the workspace. */
interface Session {
  run(feeds: Record<string, object>): Promise<Record<string, { getData(): Promise<Float32Array> }>>;
  release(): Promise<void>;
}
interface Runtime {
  readonly env: { readonly wasm: { numThreads?: number }; logLevel: string };
  readonly InferenceSession: {
    create(model: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<Session>;
  };
  readonly Tensor: new (
    type: "float32" | "int32",
    values: Float32Array | Int32Array,
    shape: readonly number[],
  ) => object;
}

/** Makes a session of a model. */
type Create = (model: Uint8Array) => Promise<Session>;

/** Runs that tell which form is fastest, after one that warms it up. */
const TRIALS = 3;

/** Every data set in one form. Weights are constants, so that the runtime packs them: then each set has its session. */
async function open({ Tensor }: Runtime, create: Create, forms: readonly GraphForm[]): Promise<Prepared> {
  const sessions: Session[] = [];
  const dispose = async (): Promise<void> => {
    for (const session of sessions) await session.release();
  };
  try {
    for (const form of forms[0]!.hasWeights ? forms : forms.slice(0, 1))
      sessions.push(await create(writeModel(await form.graph())));
  } catch (error) {
    await dispose();
    throw error;
  }
  const feeds = forms.map((form) =>
    Object.fromEntries(
      Object.entries(form.feeds()).map(([name, { shape, values }]) => [
        name,
        new Tensor(values instanceof Float32Array ? "float32" : "int32", values, shape),
      ]),
    ),
  );
  const compute = async (set: number): Promise<Float32Array> => {
    const { y } = await (sessions[set] ?? sessions[0]!).run(feeds[set]!);
    return y!.getData();
  };
  return {
    form: forms[0]!.name,
    run: async (set) => void (await compute(set)),
    async values(set) {
      const values = await compute(set);
      return forms[set]!.arrange?.(values) ?? values;
    },
    dispose,
  };
}

/** Least time of a few runs, in milliseconds. */
async function timeOf({ run }: Prepared): Promise<number> {
  let least = Infinity;
  for (let trial = 0; trial <= TRIALS; trial++) {
    const start = performance.now();
    await run(0);
    if (trial > 0) least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** The forms of all data sets, of which each session takes one. */
interface Forms {
  readonly names: readonly string[];
  /** The first `count` data sets in a form. */
  open(form: number, count: number): Promise<Prepared>;
  readonly count: number;
}

/**
 * The fastest of the forms that the runtime has and in which it computes what the plainest does. What the others failed
 * by is said with its name.
 */
async function fastest({ names, open: openForm, count }: Forms): Promise<Prepared> {
  const plain = await openForm(0, 1);
  const expected = await plain.values(0);
  let best = { form: 0, time: await timeOf(plain) };
  await plain.dispose();
  const failures: string[] = [];
  for (let form = 1; form < names.length; form++) {
    let candidate: Prepared | undefined;
    try {
      candidate = await openForm(form, 1);
      checkAgreement(expected, await candidate.values(0));
      const time = await timeOf(candidate);
      if (time < best.time) best = { form, time };
    } catch (error) {
      failures.push(`${names[form]} failed: ${reasonOf(error)}`);
    }
    await candidate?.dispose();
  }
  const prepared = await openForm(best.form, count);
  return { ...prepared, form: [names[best.form]!, ...failures].join("; ") };
}

/** In the form of that name, else in the fastest. */
function prepareForms(
  runtime: Runtime,
  create: Create,
  sets: readonly Work[],
  form?: string,
): Promise<Prepared> {
  const forms = sets.map(graphForms);
  const names = forms[0]!.map(({ name }) => name);
  const openForm = (index: number, count: number): Promise<Prepared> =>
    open(
      runtime,
      create,
      forms.slice(0, count).map((ofSet) => ofSet[index]!),
    );
  if (form === undefined) return fastest({ names, open: openForm, count: sets.length });
  if (!names.includes(form)) throw new Error(`form must be one of ${names.join(", ")}, got ${form}`);
  return openForm(names.indexOf(form), sets.length);
}

/** y = x + x: enough to load the runtime's binary. */
const SMALLEST: Graph = {
  opset: 17,
  inputs: [{ name: "x", shape: [1] }],
  outputs: [{ name: "y", shape: [1] }],
  constants: [],
  nodes: [{ operator: "Add", inputs: ["x", "x"], output: "y" }],
};

/** Does something and gives the last memory that it made for WebAssembly. */
async function catchingMemory(act: () => Promise<void>): Promise<WebAssembly.Memory | undefined> {
  const { Memory } = WebAssembly;
  let caught: WebAssembly.Memory | undefined;
  WebAssembly.Memory = new Proxy(Memory, {
    construct: (target, [descriptor]) => (caught = new target(descriptor as WebAssembly.MemoryDescriptor)),
  });
  try {
    await act();
  } finally {
    WebAssembly.Memory = Memory;
  }
  return caught;
}

/** Does something without the global Worker that it leaves in Node, by which jax-js takes Node for a page. */
async function leavingNoWorker(act: () => Promise<void>): Promise<void> {
  const had = "Worker" in globalThis;
  await act();
  if (!had) Reflect.deleteProperty(globalThis, "Worker");
}

/** Loads one of onnxruntime's packages; `threads` holds for all sessions of a process. */
export async function startOnnxruntime(
  name: "onnxruntime-web" | "onnxruntime-node",
  threads: number,
): Promise<Peer> {
  const runtime = (await import(name)) as Runtime;
  runtime.env.logLevel = "error";
  if (name === "onnxruntime-web") runtime.env.wasm.numThreads = threads;
  const options = {
    executionProviders: [name === "onnxruntime-web" ? "wasm" : "cpu"],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    ...(name === "onnxruntime-node" && { intraOpNumThreads: threads, interOpNumThreads: 1 }),
  };
  const create: Create = (model) => runtime.InferenceSession.create(model, { ...options });
  const memory = await catchingMemory(() =>
    leavingNoWorker(async () => (await create(writeModel(SMALLEST))).release()),
  );
  return {
    name,
    async prepare(sets, form) {
      const prepared = await prepareForms(runtime, create, sets, form);
      return { ...prepared, ...(memory && { heap: () => memory.buffer.byteLength }) };
    },
    stop: async () => {},
  };
}
