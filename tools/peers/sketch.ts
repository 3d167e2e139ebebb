/** Writing the graph of a saved model node by node. */
import type { Constant, Graph, Node, Port } from "./onnx.ts";
import { MICROSOFT } from "./graph-form.ts";
import { transpose } from "./layout.ts";
import type { SavedModel } from "./saved-model.ts";

const OPSET = 17;

type Layout = "linear" | "conv1d";

/** A graph over a model's weights that grows node by node. Methods give the name of what they add. */
export class Sketch {
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
