/**
 * Whole models as ONNX graphs of the same weights: composed as exporters write them, and in the operators that
 * onnxruntime's optimizer puts in their place
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 * Shapes: B batch, L length, D width, P tokens in the cache.
 */
import { MICROSOFT, composedGelu, geluConstants } from "./graph-form.ts";
import type { GraphForm } from "./graph-form.ts";
import { transpose } from "./layout.ts";
import type { Constant, Graph, Node, Port } from "./onnx.ts";
import type { DecodeWork, EncoderWork } from "./peer.ts";
import { keptRows, readSavedModel } from "./saved-model.ts";
import type { SavedModel } from "./saved-model.ts";

const OPSET = 17;
/** What exporters add to the scores of padding. */
const EXCLUDED = -1e9;

type Layout = "linear" | "conv1d";

/** A graph over a model's weights that grows node by node. Methods give the name of what they add. */
class Sketch {
  readonly constants = new Map<string, Constant>();
  readonly nodes: Node[] = [];
  readonly model: SavedModel;

  constructor(model: SavedModel) {
    this.model = model;
  }

  constant(name: string, shape: readonly number[], values: Constant["values"]): string {
    this.constants.set(name, { name, shape, values });
    return name;
  }

  /** A tensor of the model. */
  weight(name: string): string {
    const { shape, values } = this.model.tensor(name);
    return this.constant(name, shape, values);
  }

  /** Gives the first output. */
  node(operator: string, inputs: readonly string[], rest: Partial<Node> = {}): string {
    const output = rest.output ?? `${operator}.${this.nodes.length}`;
    this.nodes.push({ operator, inputs, ...rest, output });
    return [output].flat()[0]!;
  }

  microsoft(operator: string, inputs: readonly string[], attributes: Node["attributes"] = {}): string {
    return this.node(operator, inputs, { attributes, domain: MICROSOFT });
  }

  /** x times a layer's weight, which torch keeps as [out, in] and GPT-2 as [in, out]. */
  product(x: string, layer: string, layout: Layout): string {
    const name = `${layer}.weight`;
    const { shape, values } = this.model.tensor(name);
    const [rows, columns] = shape as [number, number];
    const weight =
      layout === "conv1d"
        ? this.weight(name)
        : this.constant(name, [columns, rows], transpose(values, rows, columns));
    return this.node("MatMul", [x, weight]);
  }

  linear(x: string, layer: string, layout: Layout): string {
    return this.node("Add", [this.product(x, layer, layout), this.weight(`${layer}.bias`)]);
  }

  norm(x: string, layer: string, epsilon: number): string {
    const inputs = [x, this.weight(`${layer}.weight`), this.weight(`${layer}.bias`)];
    return this.node("LayerNormalization", inputs, { attributes: { axis: -1, epsilon: { float: epsilon } } });
  }

  reshape(x: string, ...shape: readonly number[]): string {
    const name = `shape.${shape.join("x")}`;
    return this.node("Reshape", [x, this.constant(name, [shape.length], BigInt64Array.from(shape, BigInt))]);
  }

  transpose(x: string, ...perm: readonly number[]): string {
    return this.node("Transpose", [x], { attributes: { perm } });
  }

  /** softmax(q kT / sqrt(width) + mask) v */
  attend(q: string, kt: string, v: string, width: number, mask?: string): string {
    const scale = this.constant("scale", [], Float32Array.of(1 / Math.sqrt(width)));
    const scores = this.node("Mul", [this.node("MatMul", [q, kt]), scale]);
    const masked = mask === undefined ? scores : this.node("Add", [scores, mask]);
    return this.node("MatMul", [this.node("Softmax", [masked], { attributes: { axis: -1 } }), v]);
  }

  /** The graph whose result y is the last node. */
  finish(inputs: readonly Port[], output: Port["shape"], more: readonly Port[] = []): Graph {
    const last = this.nodes.pop()!;
    this.nodes.push({ ...last, output: "y" });
    return {
      opset: OPSET,
      inputs,
      outputs: [{ name: "y", shape: output }, ...more],
      constants: [...this.constants.values()],
      nodes: this.nodes,
    };
  }
}

/** Words, positions and the first token type, normed: [B, L, D]. */
function encoderInput(graph: Sketch, { length }: EncoderWork): string {
  const { model } = graph;
  const width = model.size("hidden_size");
  const words = graph.node("Gather", [graph.weight("embeddings.word_embeddings.weight"), "ids"]);
  // RoBERTa and its kin count from behind padding.
  const first = model.type === "longformer" ? model.size("pad_token_id") + 1 : 0;
  const { values: positions } = model.tensor("embeddings.position_embeddings.weight");
  const { values: types } = model.tensor("embeddings.token_type_embeddings.weight");
  const places = positions
    .slice(first * width, (first + length) * width)
    .map((x, i) => x + types[i % width]!);
  const sum = graph.node("Add", [words, graph.constant("places", [1, length, width], places)]);
  return graph.norm(sum, "embeddings.LayerNorm", model.size("layer_norm_eps"));
}

/** One layer of an encoder, from the name of its input to that of its output. */
type EncoderLayer = (graph: Sketch, x: string, layer: string, work: EncoderWork, mask?: string) => string;

const composedLayer: EncoderLayer = (graph, x, layer, { batch, length }, mask) => {
  const { model } = graph;
  const [width, heads] = [model.size("hidden_size"), model.size("num_attention_heads")];
  const epsilon = model.size("layer_norm_eps");
  const project = (part: string, ...order: number[]): string => {
    const projected = graph.linear(x, `${layer}.attention.self.${part}`, "linear");
    return graph.transpose(graph.reshape(projected, batch, length, heads, width / heads), ...order);
  };
  const [q, kt, v] = [project("query", 0, 2, 1, 3), project("key", 0, 2, 3, 1), project("value", 0, 2, 1, 3)];
  const seen = graph.transpose(graph.attend(q, kt, v, width / heads, mask), 0, 2, 1, 3);
  const attended = graph.linear(
    graph.reshape(seen, batch, length, width),
    `${layer}.attention.output.dense`,
    "linear",
  );
  const between = graph.norm(
    graph.node("Add", [attended, x]),
    `${layer}.attention.output.LayerNorm`,
    epsilon,
  );
  const inner = graph.linear(between, `${layer}.intermediate.dense`, "linear");
  const active = `${inner}.gelu`;
  graph.nodes.push(...composedGelu(inner, active));
  const down = graph.linear(active, `${layer}.output.dense`, "linear");
  return graph.norm(graph.node("Add", [down, between]), `${layer}.output.LayerNorm`, epsilon);
};

/** Weights and biases of three projections side by side: [D, 3 D] and [3 D]. */
function fusedProjections(graph: Sketch, self: string): [string, string] {
  const parts = ["query", "key", "value"].map((part) => `${self}.${part}`);
  const weights = parts.map((part) => graph.model.tensor(`${part}.weight`));
  const biases = parts.map((part) => graph.model.tensor(`${part}.bias`));
  const [out, into] = weights[0]!.shape as [number, number];
  const rows = new Float32Array(3 * out * into);
  weights.forEach(({ values }, i) => rows.set(values, i * out * into));
  const bias = new Float32Array(3 * out);
  biases.forEach(({ values }, i) => bias.set(values, i * out));
  return [
    graph.constant(`${self}.weight`, [into, 3 * out], transpose(rows, 3 * out, into)),
    graph.constant(`${self}.bias`, [3 * out], bias),
  ];
}

const fusedLayer: EncoderLayer = (graph, x, layer, _, mask) => {
  const { model } = graph;
  const epsilon = { float: model.size("layer_norm_eps") };
  const skipNorm = (added: string, skip: string, dense: string, norm: string): string => {
    const inputs = [added, skip, graph.weight(`${norm}.weight`), graph.weight(`${norm}.bias`)];
    return graph.microsoft("SkipLayerNormalization", [...inputs, graph.weight(`${dense}.bias`)], { epsilon });
  };
  const seen = graph.microsoft(
    "Attention",
    [x, ...fusedProjections(graph, `${layer}.attention.self`), ...(mask === undefined ? [] : [mask])],
    { num_heads: model.size("num_attention_heads") },
  );
  const output = `${layer}.attention.output`;
  const attended = graph.product(seen, `${output}.dense`, "linear");
  const between = skipNorm(attended, x, `${output}.dense`, `${output}.LayerNorm`);
  const inner = graph.product(between, `${layer}.intermediate.dense`, "linear");
  const active = graph.microsoft("BiasGelu", [inner, graph.weight(`${layer}.intermediate.dense.bias`)]);
  const down = graph.product(active, `${layer}.output.dense`, "linear");
  return skipNorm(down, between, `${layer}.output.dense`, `${layer}.output.LayerNorm`);
};

/** The forms of an encoder, the composed one first. */
export function encoderForms(work: EncoderWork): GraphForm[] {
  const { directory, batch, length, ids, keep } = work;
  const isPadded = keep.includes(0);
  const form = (
    name: string,
    layerOf: EncoderLayer,
    mask: Port,
    maskValues: () => Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ): GraphForm => ({
    name,
    hasWeights: true,
    feeds: () => ({
      ids: { shape: [batch, length], values: ids },
      ...(isPadded && { mask: { shape: mask.shape, values: maskValues() } }),
    }),
    arrange: (values) => keptRows(values, keep),
    async graph() {
      const model = await readSavedModel(directory);
      const graph = new Sketch(model);
      for (const constant of geluConstants) graph.constants.set(constant.name, constant);
      let x = encoderInput(graph, work);
      for (let layer = 0; layer < (work.layers ?? model.size("num_hidden_layers")); layer++)
        x = layerOf(graph, x, `encoder.layer.${layer}`, work, isPadded ? "mask" : undefined);
      const inputs: Port[] = [{ name: "ids", shape: [batch, length], type: "int32" }];
      if (isPadded) inputs.push(mask);
      return graph.finish(inputs, [batch, length, model.size("hidden_size")]);
    },
  });
  return [
    form("composed", composedLayer, { name: "mask", shape: [batch, 1, 1, length] }, () =>
      Float32Array.from(keep, (kept) => (kept ? 0 : EXCLUDED)),
    ),
    form("fused", fusedLayer, { name: "mask", shape: [batch, length], type: "int32" }, () => keep),
  ];
}

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
  build(graph: Sketch, x: string, past: number): void;
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
      build(
        graph,
        graph.node("Add", [graph.node("Gather", [graph.weight("wte.weight"), "ids"]), place]),
        past,
      );
      const all = layers.map((layer) => ports(layer, heads, past, width));
      return graph.finish(
        [{ name: "ids", shape: [1, 1], type: "int32" }, ...all.flatMap(({ inputs }) => inputs)],
        [1, model.size("vocab_size")],
        all.flatMap(({ outputs }) => outputs),
      );
    },
  }));
}
