/**
 * Heads that are not copied apart: tensors [B, H, L, D] whose values still lie in rows [B, L, W]. Programs that go by
 * `placeOf` read and write them there; for whoever else asks, they are copied into a buffer of their own first.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { output } from "./run.ts";
import type { Values } from "./run.ts";

/** Where in rows [B, L, W] the heads [B, H, L, D] lie: side by side from `begin` on. */
export interface Heads {
  readonly heads: number;
  readonly length: number;
  readonly headWidth: number;
  readonly width: number;
  readonly begin: number;
}

interface InPlace {
  /** Kept as long as the heads are. */
  readonly rows: Tensor;
  readonly at: Heads;
  readonly shape: readonly number[];
  copy(rows: Tensor, apart: Values): void;
}

const inPlace = new Map<object, InPlace>();

/** Heads of rows, in place. @param copy Fills a tensor of the heads with what is in the rows. */
export function headsInPlace(
  rows: Tensor,
  at: Heads,
  shape: readonly number[],
  copy: InPlace["copy"],
): Tensor {
  const apart = output(shape);
  if (apart.size > 0)
    inPlace.set(apart.dataId, { rows: tf.keep(tf.clone(rows)), at, shape: apart.shape, copy });
  return apart;
}

/** The rows, if they are nothing but these heads: [B, L, H D]. */
export function rowsInPlace({ dataId, shape }: Tensor): Tensor | undefined {
  const found = inPlace.get(dataId);
  if (!found || String(found.shape) !== String(shape)) return undefined;
  const { rows, at } = found;
  return at.begin === 0 && at.width === at.heads * at.headWidth ? rows : undefined;
}

/** Whether a tensor's values still lie in rows. */
export function isInPlace(dataId: object): boolean {
  return inPlace.has(dataId);
}

/** For the engine: a tensor's buffer is asked for. Gives what fills it, once it is there. */
export function takeApart(dataId: object): (() => void) | undefined {
  const found = inPlace.get(dataId);
  if (!found) return undefined;
  inPlace.delete(dataId);
  const { rows, shape, copy } = found;
  return () => {
    try {
      copy(rows, { dataId, size: tf.util.sizeFromShape([...shape]) });
    } catch (error) {
      inPlace.set(dataId, found);
      throw error;
    }
    rows.dispose();
  };
}

/** For the engine: the heads are freed. */
export function dropInPlace(dataId: object): void {
  inPlace.get(dataId)?.rows.dispose();
  inPlace.delete(dataId);
}

/** For a backend that stops: its heads have no values any more. */
export function dropAllInPlace(): void {
  for (const dataId of inPlace.keys()) dropInPlace(dataId);
}

/** Values of heads, and how many values it is from one to the next of each dimension. */
export interface Place {
  readonly values: Values;
  readonly begin: number;
  readonly batch: number;
  readonly head: number;
  readonly row: number;
  /** Rows of a head, and values of a row. */
  readonly length: number;
  readonly width: number;
}

/** Heads [B, H, L, D] in a buffer of their own. */
export function placeApart(values: Tensor): Place {
  const [, heads, length, headWidth] = values.shape as [number, number, number, number];
  const head = length * headWidth;
  return { values, begin: 0, batch: heads * head, head, row: headWidth, length, width: headWidth };
}

/** Where the values of a tensor [B, H, L, D] lie. */
export function placeOf(tensor: Tensor): Place {
  const found = inPlace.get(tensor.dataId);
  if (!found || String(found.shape) !== String(tensor.shape)) return placeApart(tensor);
  const { begin, length, headWidth, width } = found.at;
  return {
    values: found.rows,
    begin,
    batch: length * width,
    head: headWidth,
    row: width,
    length,
    width: headWidth,
  };
}

/** Whether rows of heads can be read and written four columns at a time. */
export function areVectors(headWidth: number, { begin, batch, head, row }: Place): boolean {
  return [headWidth, begin, batch, head, row].every((n) => n % 4 === 0);
}

/** Names of the numbers that tell a program where heads lie. */
export type PlaceUniform<N extends string> = `${N}${"Begin" | "Batch" | "Head" | "Row"}`;

/** Their types. */
export function placeTypes<N extends string>(name: N): Readonly<Record<PlaceUniform<N>, "u32">> {
  return placeRecord(name, { begin: "u32", batch: "u32", head: "u32", row: "u32" });
}

/** Their values, in elements of `per` values. */
export function placeUniforms<N extends string>(
  name: N,
  { begin, batch, head, row }: Place,
  per = 1,
): Readonly<Record<PlaceUniform<N>, number>> {
  return placeRecord(name, { begin: begin / per, batch: batch / per, head: head / per, row: row / per });
}

function placeRecord<N extends string, T>(
  name: N,
  { begin, batch, head, row }: Record<"begin" | "batch" | "head" | "row", T>,
): Readonly<Record<PlaceUniform<N>, T>> {
  const all = {
    [`${name}Begin`]: begin,
    [`${name}Batch`]: batch,
    [`${name}Head`]: head,
    [`${name}Row`]: row,
  };
  return all as Record<PlaceUniform<N>, T>;
}

/** In WGSL, where a head begins. */
export const headAt = (name: string, batch: string, head: string): string =>
  `uniforms.${name}Begin + ${batch} * uniforms.${name}Batch + ${head} * uniforms.${name}Head`;
