/** The peers' work as ONNX graphs: composed as exporters write it, and in the operators that runtimes have for it. */
import { decodeForms } from "./decoder-graphs.ts";
import { encoderForms } from "./encoder-graphs.ts";
import { MICROSOFT, composedGelu, geluConstants, scalar } from "./graph-form.ts";
import type { Feeds, GraphForm } from "./graph-form.ts";
import { swapOuter, transpose } from "./layout.ts";
import { cannot } from "./peer.ts";
import type { AttentionWork, LinearWork, Work } from "./peer.ts";
import type { Constant, Graph, Node } from "./onnx.ts";

function linearGraph(
  { rows, layers, activation }: LinearWork,
  weight: (layer: LinearWork["layers"][number]) => Pick<Constant, "shape" | "values">,
  nodes: (x: string, layer: number, y: string) => Node[],
): Graph {
  const last = layers.length - 1;
  const between = (layer: number): string => (layer < 0 ? "x" : layer === last ? "y" : `y${layer}`);
  return {
    opset: 17,
    inputs: [{ name: "x", shape: [rows, layers[0]!.into] }],
    outputs: [{ name: "y", shape: [rows, layers[last]!.out] }],
    constants: [
      ...layers.flatMap((layer, i) => [
        { name: `w${i}`, ...weight(layer) },
        { name: `b${i}`, shape: [layer.out], values: layer.bias },
      ]),
      ...(activation ? geluConstants : []),
    ],
    nodes: layers.flatMap((_, i) => nodes(between(i - 1), i, between(i))),
  };
}

function linearForms(work: LinearWork): GraphForm[] {
  const { rows, x, layers, activation } = work;
  const feeds = (): Feeds => ({ x: { shape: [rows, layers[0]!.into], values: x } });
  return [
    {
      name: activation ? "MatMul, Add, Erf" : "MatMul, Add",
      hasWeights: true,
      feeds,
      graph: () =>
        linearGraph(
          work,
          ({ into, out, weight }) => ({ shape: [into, out], values: transpose(weight, out, into) }),
          (from, i, to) => [
            { operator: "MatMul", inputs: [from, `w${i}`], output: `${to}.product` },
            { operator: "Add", inputs: [`${to}.product`, `b${i}`], output: activation ? `${to}.sum` : to },
            ...(activation ? composedGelu(`${to}.sum`, to) : []),
          ],
        ),
    },
    {
      name: activation ? "Gemm, Gelu" : "Gemm",
      hasWeights: true,
      feeds,
      graph: () =>
        linearGraph(
          work,
          ({ into, out, weight }) => ({ shape: [out, into], values: weight }),
          (from, i, to) => [
            {
              operator: "Gemm",
              inputs: [from, `w${i}`, `b${i}`],
              output: activation ? `${to}.sum` : to,
              attributes: { transB: 1 },
            },
            ...(activation
              ? [{ operator: "Gelu", inputs: [`${to}.sum`], output: to, domain: MICROSOFT }]
              : []),
          ],
        ),
    },
  ];
}

function attentionForms({ heads, length, width, isCausal, q, k, v }: AttentionWork): GraphForm[] {
  const shape = [1, heads, length, width];
  const flat = [1, length, heads * width];
  const ports = (sizes: readonly number[]): Pick<Graph, "inputs" | "outputs"> => ({
    inputs: ["q", "k", "v"].map((name) => ({ name, shape: sizes })),
    outputs: [{ name: "y", shape: sizes }],
  });
  const feeds = (): Feeds => ({
    q: { shape, values: q },
    k: { shape, values: k },
    v: { shape, values: v },
  });
  const composed: Node[] = [
    { operator: "Transpose", inputs: ["k"], output: "kt", attributes: { perm: [0, 1, 3, 2] } },
    { operator: "MatMul", inputs: ["q", "kt"], output: "products" },
    { operator: "Mul", inputs: ["products", "scale"], output: "scores" },
  ];
  if (isCausal) composed.push({ operator: "Add", inputs: ["scores", "mask"], output: "masked" });
  composed.push(
    {
      operator: "Softmax",
      inputs: [isCausal ? "masked" : "scores"],
      output: "weights",
      attributes: { axis: -1 },
    },
    { operator: "MatMul", inputs: ["weights", "v"], output: "y" },
  );
  const mask = (): Constant[] => {
    if (!isCausal) return [];
    const values = Float32Array.from({ length: length * length }, (_, i) =>
      i % length > Math.floor(i / length) ? -1e9 : 0,
    );
    return [{ name: "mask", shape: [length, length], values }];
  };
  return [
    {
      name: "MatMul, Softmax, MatMul",
      hasWeights: false,
      feeds,
      graph: () => ({
        opset: 17,
        ...ports(shape),
        constants: [scalar("scale", 1 / Math.sqrt(width)), ...mask()],
        nodes: composed,
      }),
    },
    {
      name: "Attention",
      hasWeights: false,
      feeds,
      graph: () => ({
        opset: 23,
        ...ports(shape),
        constants: [],
        nodes: [
          {
            operator: "Attention",
            inputs: ["q", "k", "v"],
            output: "y",
            attributes: { is_causal: isCausal ? 1 : 0 },
          },
        ],
      }),
    },
    {
      name: "MultiHeadAttention",
      hasWeights: false,
      feeds: () =>
        Object.fromEntries(
          Object.entries({ q, k, v }).map(([name, values]) => [
            name,
            { shape: flat, values: swapOuter(values, heads, length, width) },
          ]),
        ),
      arrange: (values) => swapOuter(values, length, heads, width),
      graph: () => ({
        opset: 17,
        ...ports(flat),
        constants: [],
        nodes: [
          {
            operator: "MultiHeadAttention",
            domain: MICROSOFT,
            inputs: ["q", "k", "v"],
            output: "y",
            attributes: { num_heads: heads, unidirectional: isCausal ? 1 : 0 },
          },
        ],
      }),
    },
  ];
}

/** Every way to write a work, the plainest first. */
export function graphForms(work: Work): GraphForm[] {
  if (work.kind === "linear") return linearForms(work);
  if (work.kind === "attention" && !work.dy && !work.pattern) return attentionForms(work);
  if (work.kind === "encoder") return encoderForms(work);
  if (work.kind === "decode") return decodeForms(work);
  return cannot("onnxruntime", work);
}
