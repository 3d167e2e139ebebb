/** Linear layers with bias against every peer, all of them on packed weights where they have that. */
import * as tf from "@tensorflow/tfjs-core";
import { createWeights } from "@heddle/core";
import type { LinearLayer } from "@heddle/core";
import type { LayerWork, LinearWork, Prepared } from "../../peers/peer.ts";
import { againstPeers } from "../against-peers.ts";
import { setsBeyondCaches, values } from "../data.ts";
import type { BenchCase, BenchSuite } from "../suite.ts";
import { wasmSuiteWithPeers } from "../wasm-suite.ts";
import type { Peers } from "../wasm-suite.ts";

interface Definition {
  readonly rows: number;
  /** Widths before, between and after the layers. */
  readonly widths: readonly number[];
  readonly activation?: "gelu";
}

/** The MLPs of a model of 12 layers, 227 MB. */
const TWENTY_FOUR = Array.from({ length: 25 }, (_, i) => (i % 2 === 0 ? 768 : 3072));

const definitions: Readonly<Record<string, Definition>> = {
  "128x768x768": { rows: 128, widths: [768, 768] },
  "512x768x3072": { rows: 512, widths: [768, 3072] },
  "512x768x3072, gelu": { rows: 512, widths: [768, 3072], activation: "gelu" },
  "1 row through 24 layers, 768 to 3072 to 768": { rows: 1, widths: TWENTY_FOUR },
};

function workOf({ rows, widths, activation }: Definition, seed: number): LinearWork {
  const layers = widths.slice(1).map((out, i): LayerWork => {
    const into = widths[i]!;
    return {
      into,
      out,
      // Each layer's results are as great as what goes into it.
      weight: values(into * out, { seed, path: `weight/${i}`, deviation: Math.sqrt(1 / into) }),
      bias: values(out, { seed, path: `bias/${i}`, deviation: 0.1 }),
    };
  });
  return {
    kind: "linear",
    rows,
    x: values(rows * widths[0]!, { seed, path: "x" }),
    layers,
    ...(activation && { activation }),
  };
}

/** Ours, as models have it: parameters in a tree, packed at the first call. */
function prepareOurs(works: readonly LinearWork[]): Prepared {
  const placed = works.map(({ rows, x, layers, activation }) => {
    const weights = createWeights();
    const stack = layers.map(({ into, out, weight, bias }, i): LinearLayer => {
      const layer = weights.linear(`${i}`, { in: into, out });
      for (const [part, data, shape] of [
        ["weight", weight, [out, into]],
        ["bias", bias, [out]],
      ] as const)
        tf.tidy(() => weights.declared.get(`${i}.${part}`)!.assign(tf.tensor(data, [...shape])));
      return layer;
    });
    const input = tf.tensor2d(x, [rows, layers[0]!.into]);
    const options = activation ? { activation } : {};
    return { weights, input, compute: () => stack.reduce<tf.Tensor>((y, layer) => layer(y, options), input) };
  });
  const read = async (set: number): Promise<Float32Array> => {
    const result = tf.tidy(placed[set]!.compute);
    const read = (await result.data()) as Float32Array;
    result.dispose();
    return read;
  };
  return {
    run: async (set) => void (await read(set)),
    values: read,
    async dispose() {
      for (const { weights, input } of placed) {
        weights.dispose();
        input.dispose();
      }
    },
  };
}

function bytesOf({ rows, widths }: Definition): number {
  const floats = widths.slice(1).reduce((sum, out, i) => sum + out * widths[i]! + out + rows * out, 0);
  return 4 * (rows * widths[0]! + floats);
}

async function* cases(peers: Peers): AsyncGenerator<BenchCase> {
  for (const [name, definition] of Object.entries(definitions)) {
    const works = Array.from({ length: setsBeyondCaches(bytesOf(definition)) }, (_, seed) =>
      workOf(definition, seed),
    );
    yield await againstPeers({ name, works, ours: prepareOurs(works), peers });
  }
}

/** Starts WASM and the peers. */
export const linear = (): Promise<BenchSuite> => wasmSuiteWithPeers(cases);
