/**
 * A step of decoding as ONNX graphs of its weights: composed as exporters write it, and in the operators that onnxruntime's optimizer
 * puts in their place (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 */
import { MICROSOFT } from "./graph-form.ts";
import type { GraphForm } from "./graph-form.ts";
import type { Port } from "./onnx.ts";
import type { DecodeWork } from "./peer.ts";
import { readSavedModel } from "./saved-model.ts";
import { Sketch } from "./sketch.ts";

/** The cache of a layer as it goes in and comes out. */
interface CachePorts {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

interface DecodeForm {
  readonly name: string;
  ports(layer: number, heads: number, past: number, width: number): CachePorts;
  /** The values of the ports that go in. */
  feed(keys: Float32Array<ArrayBuffer>, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer>[];
  /** From the embedded token to logits. */
  build(graph: Sketch, x: string): void;
}

const SIZES = { layers: "n_layer", heads: "n_head", width: "n_embd" } as const;

const composedDecoder: DecodeForm = {
  name: "composed",
  ports: (layer, heads, past, width) => ({
    inputs: ["k", "v"].map((part) => ({ name: `past.${part}${layer}`, shape: [1, heads, past, width] })),
    outputs: ["k", "v"].map((part) => ({
      name: `present.${part}${layer}`,
      shape: [1, heads, past + 1, width],
    })),
  }),
  feed: (keys, values) => [keys, values],
  build(graph, embedded) {
    const { model } = graph;
    const [width, heads] = [model.size(SIZES.width), model.size(SIZES.heads)];
    const epsilon = model.size("layer_norm_epsilon");
    let x = embedded;
    for (let layer = 0; layer < model.size(SIZES.layers); layer++) {
      const block = `h.${layer}`;
      const projected = graph.linear(
        graph.norm(x, `${block}.ln_1`, epsilon),
        `${block}.attn.c_attn`,
        "conv1d",
      );
      const parts = ["q", "k", "v"].map((part) => `${part}${layer}`);
      graph.node("Split", [projected], { output: parts, attributes: { axis: 2 } });
      const [q, k, v] = parts.map((part) =>
        graph.transpose(graph.reshape(part, 1, 1, heads, width / heads), 0, 2, 1, 3),
      ) as [string, string, string];
      const grow = (part: string, added: string): string =>
        graph.node("Concat", [`past.${part}${layer}`, added], {
          output: `present.${part}${layer}`,
          attributes: { axis: 2 },
        });
      const [keys, values] = [grow("k", k), grow("v", v)];
      const seen = graph.attend(q, graph.transpose(keys, 0, 1, 3, 2), values, width / heads);
      const rows = graph.reshape(graph.transpose(seen, 0, 2, 1, 3), 1, 1, width);
      x = graph.node("Add", [x, graph.linear(rows, `${block}.attn.c_proj`, "conv1d")]);
      const inner = graph.linear(graph.norm(x, `${block}.ln_2`, epsilon), `${block}.mlp.c_fc`, "conv1d");
      const down = graph.linear(composedFastGelu(graph, inner), `${block}.mlp.c_proj`, "conv1d");
      x = graph.node("Add", [x, down]);
    }
    const row = graph.reshape(graph.norm(x, "ln_f", epsilon), 1, width);
    graph.node("Gemm", [row, graph.weight("wte.weight")], { attributes: { transB: 1 } });
  },
};

/** GELU by tanh as PyTorch's exporter writes it for GPT-2. */
function composedFastGelu(graph: Sketch, x: string): string {
  const number = (name: string, value: number): string => graph.constant(name, [], Float32Array.of(value));
  const cube = graph.node("Pow", [x, number("three", 3)]);
  const inside = graph.node("Add", [x, graph.node("Mul", [cube, number("cubic", 0.044715)])]);
  const tanh = graph.node("Tanh", [graph.node("Mul", [inside, number("root", Math.sqrt(2 / Math.PI))])]);
  const half = graph.node("Mul", [x, number("half", 0.5)]);
  return graph.node("Mul", [half, graph.node("Add", [tanh, number("one", 1)])]);
}

const fusedDecoder: DecodeForm = {
  name: "fused",
  ports: (layer, heads, past, width) => ({
    inputs: [{ name: `past${layer}`, shape: [2, 1, heads, past, width] }],
    outputs: [{ name: `present${layer}`, shape: [2, 1, heads, past + 1, width] }],
  }),
  feed(keys, values) {
    const both = new Float32Array(2 * keys.length);
    both.set(keys);
    both.set(values, keys.length);
    return [both];
  },
  build(graph, embedded) {
    const { model } = graph;
    const layers = model.size(SIZES.layers);
    const epsilon = { float: model.size("layer_norm_epsilon") };
    /** The norm of the residual stream, and the stream with what was added. */
    const skipNorm = (added: string, stream: string, dense: string, norm: string): [string, string] => {
      const outputs = [`${norm}.normed`, "", "", `${norm}.stream`];
      const inputs = [added, stream, graph.weight(`${norm}.weight`), graph.weight(`${norm}.bias`)];
      graph.node("SkipLayerNormalization", [...inputs, graph.weight(`${dense}.bias`)], {
        output: outputs,
        domain: MICROSOFT,
        attributes: { epsilon },
      });
      return [outputs[0]!, outputs[3]!];
    };
    let stream = embedded;
    let normed = graph.norm(embedded, "h.0.ln_1", epsilon.float);
    for (let layer = 0; layer < layers; layer++) {
      const block = `h.${layer}`;
      const projection = `${block}.attn.c_attn`;
      graph.node(
        "Attention",
        [
          normed,
          graph.weight(`${projection}.weight`),
          graph.weight(`${projection}.bias`),
          "",
          `past${layer}`,
        ],
        {
          output: [`seen${layer}`, `present${layer}`],
          domain: MICROSOFT,
          attributes: { num_heads: model.size(SIZES.heads), unidirectional: 1 },
        },
      );
      const attended = graph.product(`seen${layer}`, `${block}.attn.c_proj`, "conv1d");
      [normed, stream] = skipNorm(attended, stream, `${block}.attn.c_proj`, `${block}.ln_2`);
      const inner = graph.product(normed, `${block}.mlp.c_fc`, "conv1d");
      const active = graph.microsoft("FastGelu", [inner, graph.weight(`${block}.mlp.c_fc.bias`)]);
      const down = graph.product(active, `${block}.mlp.c_proj`, "conv1d");
      const next = layer + 1 < layers ? `h.${layer + 1}.ln_1` : "ln_f";
      [normed, stream] = skipNorm(down, stream, `${block}.mlp.c_proj`, next);
    }
    const row = graph.reshape(normed, 1, model.size(SIZES.width));
    graph.microsoft("FusedMatMul", [row, graph.weight("wte.weight")], { transB: 1 });
  },
};

/** The forms of a decoder's step, the composed one first. */
export function decodeForms({ directory, token, past, cache, heads, width }: DecodeWork): GraphForm[] {
  const layers = Array.from({ length: cache.length / 2 }, (_, layer) => layer);
  return [composedDecoder, fusedDecoder].map(({ name, ports, feed, build }) => ({
    name,
    hasWeights: true,
    feeds: () => ({
      ids: { shape: [1, 1], values: Int32Array.of(token) },
      ...Object.fromEntries(
        layers.flatMap((layer) => {
          const values = feed(cache[2 * layer]!, cache[2 * layer + 1]!);
          return ports(layer, heads, past, width).inputs.map(({ name: port, shape }, i) => [
            port,
            { shape, values: values[i]! },
          ]);
        }),
      ),
    }),
    async graph() {
      const model = await readSavedModel(directory);
      const graph = new Sketch(model);
      const size = model.size(SIZES.width);
      const { values: positions } = model.tensor("wpe.weight");
      const place = graph.constant("place", [size], positions.slice(past * size, (past + 1) * size));
      const word = graph.node("Gather", [graph.weight("wte.weight"), "ids"]);
      build(graph, graph.node("Add", [word, place]));
      const all = layers.map((layer) => ports(layer, heads, past, width));
      return graph.finish(
        [{ name: "ids", shape: [1, 1], type: "int32" }, ...all.flatMap(({ inputs }) => inputs)],
        [1, model.size("vocab_size")],
        all.flatMap(({ outputs }) => outputs),
      );
    },
  }));
}
