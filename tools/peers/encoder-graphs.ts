/**
 * An encoder as ONNX graphs of its weights: composed as exporters write it, and in the operators that onnxruntime's optimizer
 * puts in their place (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
 * Shapes: B batch, L length, D width.
 */
import { composedGelu, geluConstants } from "./graph-form.ts";
import type { GraphForm } from "./graph-form.ts";
import { transpose } from "./layout.ts";
import type { Port } from "./onnx.ts";
import type { EncoderWork } from "./peer.ts";
import { keptRows, readSavedModel } from "./saved-model.ts";
import { Sketch } from "./sketch.ts";

/** What exporters add to the scores of padding. */
const EXCLUDED = -1e9;

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
