/** onnxruntime, as WebAssembly and native. */
import { checkAgreement } from "./agreement.ts";
import type { GraphForm } from "./graphs.ts";
import { graphForms } from "./graphs.ts";
import { writeModel } from "./onnx.ts";
import type { Graph } from "./onnx.ts";
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
  readonly Tensor: new (type: "float32", values: Float32Array, shape: readonly number[]) => object;
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
      sessions.push(await create(writeModel(form.graph())));
  } catch (error) {
    await dispose();
    throw error;
  }
  const feeds = forms.map((form) =>
    Object.fromEntries(
      Object.entries(form.feeds()).map(([name, { shape, values }]) => [
        name,
        new Tensor("float32", values, shape),
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

/** The fastest of the forms that the runtime has and in which it computes what the plainest does. */
async function fastest(runtime: Runtime, create: Create, sets: readonly Work[]): Promise<Prepared> {
  const forms = sets.map(graphForms);
  const open1 = (form: number, count: number): Promise<Prepared> =>
    open(
      runtime,
      create,
      forms.slice(0, count).map((ofSet) => ofSet[form]!),
    );
  const plain = await open1(0, 1);
  const expected = await plain.values(0);
  let best = { form: 0, time: await timeOf(plain) };
  await plain.dispose();
  for (let form = 1; form < forms[0]!.length; form++)
    try {
      const candidate = await open1(form, 1);
      checkAgreement(expected, await candidate.values(0));
      const time = await timeOf(candidate);
      await candidate.dispose();
      if (time < best.time) best = { form, time };
    } catch {
      // This version has no such operator: the others remain.
    }
  return open1(best.form, sets.length);
}

/** y = x + x: enough to load the runtime's binary. */
const SMALLEST: Graph = {
  opset: 17,
  inputs: [{ name: "x", shape: [1] }],
  outputs: [{ name: "y", shape: [1] }],
  constants: [],
  nodes: [{ operator: "Add", inputs: ["x", "x"], output: "y" }],
};

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
  await leavingNoWorker(async () => (await create(writeModel(SMALLEST))).release());
  return {
    name,
    prepare: (sets) => fastest(runtime, create, sets),
    stop: async () => {},
  };
}
