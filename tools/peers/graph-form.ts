/** A work as an ONNX graph, and what several of them are written with. */
import type { Constant, Graph, Node } from "./onnx.ts";

/** What to feed, by name. */
export type Feeds = Readonly<
  Record<string, { shape: readonly number[]; values: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> }>
>;

/** One way to write a work as a graph. */
export interface GraphForm {
  /** Its operators. */
  readonly name: string;
  /** Whether the graph holds weights, so that each data set has a graph of its own. */
  readonly hasWeights: boolean;
  graph(): Graph | Promise<Graph>;
  feeds(): Feeds;
  /** The output's values in the order of `Prepared.values`. @default as they are */
  arrange?(values: Float32Array): Float32Array;
}

/** The set of operators that onnxruntime adds. */
export const MICROSOFT = "com.microsoft";

export const scalar = (name: string, value: number): Constant => ({
  name,
  shape: [],
  values: Float32Array.of(value),
});

/** GELU as PyTorch's exporter writes it. */
export const composedGelu = (x: string, y: string): Node[] => [
  { operator: "Div", inputs: [x, "sqrt2"], output: `${y}.div` },
  { operator: "Erf", inputs: [`${y}.div`], output: `${y}.erf` },
  { operator: "Add", inputs: [`${y}.erf`, "one"], output: `${y}.add` },
  { operator: "Mul", inputs: [x, `${y}.add`], output: `${y}.mul` },
  { operator: "Mul", inputs: [`${y}.mul`, "half"], output: y },
];
export const geluConstants: readonly Constant[] = [
  scalar("sqrt2", Math.SQRT2),
  scalar("one", 1),
  scalar("half", 0.5),
];
