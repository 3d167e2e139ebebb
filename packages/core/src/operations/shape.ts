/** Operations that move values without changing them; tfjs's own have no gradient here. */
import * as tf from "@tensorflow/tfjs-core";
import type { NamedTensorMap, Tensor } from "@tensorflow/tfjs-core";
import { checkInteger, reject } from "../errors.ts";
import { defineOperation, run } from "../operation.ts";
import type { Operation } from "../operation.ts";
import { checkFloats } from "./tensors.ts";

/** A call of `reshape`. */
export interface ReshapeCall {
  readonly x: Tensor;
  readonly shape: readonly number[];
}

/** The operation behind `reshape`. */
export const reshapeOperation: Operation<ReshapeCall> = defineOperation<ReshapeCall>({
  name: "reshape",
  tensors: ["x"],
  needs: [],
  validate({ x, shape }) {
    checkFloats("reshape: x", x);
    if (shape.reduce((product, length) => product * length, 1) !== x.size)
      reject("reshape: shape", `hold ${x.size} values, as [${x.shape.join(", ")}] does`, shape);
  },
  forward: ({ x, shape }) => ({ output: tf.reshape(x, [...shape]) }),
  gradient: ({ call: { x }, dy }) => ({ x: () => tf.reshape(dy, x.shape) }),
});

/** The same values in another shape. */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  return run(reshapeOperation, { x, shape });
}

/** A call of `transpose`. */
export interface TransposeCall {
  readonly x: Tensor;
  /** Dimension i of the result is dimension `order[i]` of x. */
  readonly order: readonly number[];
}

/** x of `transpose` as [batch, rows, columns, width], whose rows and columns change places: for kernels. */
export type Swap = readonly [batch: number, rows: number, columns: number, width: number];

/** An order of dimensions as a swap of two that lie together, each of them a run of dimensions; undefined if it is none. */
export function swapOf(shape: readonly number[], order: readonly number[]): Swap | undefined {
  const moved = order.filter((from, to) => from !== to);
  const begin = Math.min(...moved, shape.length);
  const end = Math.max(...moved, begin - 1) + 1;
  const middle = order[begin] ?? begin;
  const isSwap = order
    .slice(begin, end)
    .every((from, i) => from === begin + ((middle - begin + i) % (end - begin)));
  const lengthOf = (from: number, to: number): number => tf.util.sizeFromShape(shape.slice(from, to));
  return isSwap
    ? [lengthOf(0, begin), lengthOf(begin, middle), lengthOf(middle, end), lengthOf(end, shape.length)]
    : undefined;
}

/** The operation behind `transpose`. */
export const transposeOperation: Operation<TransposeCall> = defineOperation<TransposeCall>({
  name: "transpose",
  tensors: ["x"],
  needs: [],
  validate({ x, order }) {
    checkFloats("transpose: x", x);
    if (order.toSorted((a, b) => a - b).join() !== x.shape.map((_, axis) => axis).join())
      reject("transpose: order", `name each of ${x.shape.length} dimensions once`, order);
  },
  forward: ({ x, order }) => ({ output: tf.transpose(x, [...order]) }),
  gradient: ({ call: { order }, dy }) => ({
    x: () =>
      tf.transpose(
        dy,
        order.map((_, axis) => order.indexOf(axis)),
      ),
  }),
});

/** The same values with their dimensions in another order. */
export function transpose(x: Tensor, order: readonly number[]): Tensor {
  return run(transposeOperation, { x, order });
}

/** A call of `slice`. */
export interface SliceCall {
  readonly x: Tensor;
  readonly axis: number;
  readonly begin: number;
  readonly size: number;
}

/** The operation behind `slice`. */
export const sliceOperation: Operation<SliceCall> = defineOperation<SliceCall>({
  name: "slice",
  tensors: ["x"],
  needs: [],
  validate({ x, axis, begin, size }) {
    checkFloats("slice: x", x, 1);
    checkInteger("slice: axis", axis, { min: 0, max: x.shape.length - 1 });
    checkInteger("slice: begin", begin, { min: 0, max: x.shape[axis]! - 1 });
    checkInteger("slice: size", size, { min: 1, max: x.shape[axis]! - begin });
  },
  forward({ x, axis, begin, size }) {
    const start = x.shape.map((_, i) => (i === axis ? begin : 0));
    return {
      output: tf.slice(
        x,
        start,
        x.shape.map((length, i) => (i === axis ? size : length)),
      ),
    };
  },
  gradient: ({ call: { x, axis, begin, size }, dy }) => ({
    x: () =>
      tf.pad(
        dy,
        x.shape.map((length, i): [number, number] => (i === axis ? [begin, length - begin - size] : [0, 0])),
      ),
  }),
});

/** `size` values from `begin` along one dimension. */
export function slice(call: SliceCall): Tensor {
  return run(sliceOperation, call);
}

/** A call of `concat`. */
export interface ConcatCall {
  readonly parts: readonly Tensor[];
  readonly axis: number;
}

/** The operation behind `concat`. */
export const concatOperation: Operation<ConcatCall> = defineOperation<ConcatCall>({
  name: "concat",
  tensors: [],
  needs: [],
  inputs: ({ parts }) => Object.fromEntries(parts.map((part, i) => [`parts[${i}]`, part])),
  withInputs: (call, inputs: NamedTensorMap) => ({ ...call, parts: Object.values(inputs) }),
  validate({ parts, axis }) {
    if (parts.length === 0) reject("concat: parts", "hold at least one tensor", parts);
    parts.forEach((part, i) => checkFloats(`concat: parts[${i}]`, part, 1));
    const shape = parts[0]!.shape;
    checkInteger("concat: axis", axis, { min: 0, max: shape.length - 1 });
    parts.forEach((part, i) => {
      if (
        part.shape.length !== shape.length ||
        part.shape.some((length, d) => d !== axis && length !== shape[d])
      )
        reject(
          `concat: parts[${i}]`,
          `agree with [${shape.join(", ")}] outside dimension ${axis}`,
          part.shape,
        );
    });
  },
  forward: ({ parts, axis }) => ({ output: tf.concat([...parts], axis) }),
  gradient: ({ call: { parts, axis }, dy }) => {
    let end = 0;
    return Object.fromEntries(
      parts.map((part, i) => {
        const begin = end;
        end += part.shape[axis]!;
        const start = part.shape.map((_, d) => (d === axis ? begin : 0));
        return [`parts[${i}]`, () => tf.slice(dy, start, part.shape)];
      }),
    );
  },
});

/** Tensors one after the other along a dimension. */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  return run(concatOperation, { parts, axis });
}
