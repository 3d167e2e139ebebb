/**
 * Expressions as small WebAssembly modules that work on one tile: mask bits of a pattern, a score modifier and its
 * derivatives. They import `env.memory`, hold no data, use no stack and keep no state.
 *
 * Addresses are byte addresses in `env.memory`; all arguments are i32. A tile is the positions
 * `start + i * step`, i < count, of queries and of keys. `queryOffset` is the position of the call's first row.
 * - `attributes`: address of one i32 address an entry of `layout.attributes`; query values are indexed by row
 *   (position minus queryOffset), key values by position, i32 each, of the batch row at hand.
 * - `tables`: address of `tableBytes(layout)`.
 * - `lookups`: address of three i32 an entry of `layout.lookups`: the address of the f32 entries for this batch row
 *   and head, entries from one row to the next (0 when rows share them), entries of a row (at least 1).
 */
import { lookupDerivatives, scoreDerivative } from "./derivative.ts";
import { emitLayout } from "./emit-layout.ts";
import type { EmitLayout } from "./emit-layout.ts";
import type { BooleanNode, NumberNode } from "./tree.ts";
import { ExpressionWriter } from "./wasm-expression.ts";
import type { ExpressionInputs, LookupLocals, Root } from "./wasm-expression.ts";
import { expFunction, tanhFunction } from "./wasm-math.ts";
import { encodeModule, FunctionWriter, op, wasmType } from "./wasm-writer.ts";

const { i32, i64, f32 } = wasmType;

/** Derivatives stay within this: one that is infinite would make NaN of a small upstream. */
const STEEPEST = 3e38;

/** The tile's arguments, in the order in which every exported function takes them. */
export const tileArguments = [
  "queryStart",
  "queryStep",
  "queryCount",
  "keyStart",
  "keyStep",
  "keyCount",
  "head",
  "queryLength",
  "keyLength",
  "queryOffset",
  "attributes",
  "tables",
  "lookups",
] as const;

/** How a module is made. */
export interface EmitWasmOptions {
  /** For memories that threads share. @default false */
  readonly sharedMemory?: boolean;
}

/** A module and what it reads. */
export interface EmittedWasm {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly layout: EmitLayout;
}

/**
 * A module that exports `mask(out, ...tile) -> pairs allowed`. For each query of the tile it writes
 * ceil(keyCount / 64) words of 64 bits: bit j of word w is key 64 w + j of the tile; bits past the last are 0.
 */
export function emitMask(node: BooleanNode, { sharedMemory }: EmitWasmOptions = {}): EmittedWasm {
  const layout = emitLayout([node]);
  const fn = new FunctionWriter([i32, ...tileArguments.map(() => i32)], [i32]);
  const out = 0;
  const [word, bit, allowed] = [fn.local(i64), fn.local(i32), fn.local(i32)];
  const root: Root = { type: "word", node };
  const flush = () => {
    fn.get(out).get(word).memory(op.i64Store, 3);
    fn.get(allowed).get(word).emit(op.i64Popcnt, op.i32WrapI64, op.i32Add).set(allowed);
    fn.advance(out, 8).i64(0).set(word).i32(0).set(bit);
  };
  tileLoops(fn, { first: 1, layout, roots: [root], functions: { exp: 0, tanh: 0 } }, (writer, at) => ({
    pair() {
      writer.emit(root);
      fn.emit(op.i64ExtendI32U).get(bit).emit(op.i64ExtendI32U, op.i64Shl).get(word).emit(op.i64Or).set(word);
      fn.advance(bit, 1);
      // A word is full, or the row is: (bit == 64) | (index + 1 == keyCount).
      fn.get(bit)
        .i32(64)
        .emit(op.i32Eq)
        .get(at.index)
        .i32(1)
        .emit(op.i32Add)
        .get(at.keyCount)
        .emit(op.i32Eq, op.i32Or);
      fn.if(flush);
    },
  }));
  fn.get(allowed);
  return { bytes: encodeModule({ functions: [fn], exports: { mask: 0 }, sharedMemory }), layout };
}

/**
 * A module for a score modifier. `stride` is the number of floats from one row of a tile of scores to the next.
 * - `modify(scores, out, stride, ...tile)` writes the modified scores; `out` may be `scores`.
 * - `scoreDerivative(scores, out, stride, ...tile)` writes the derivative with respect to the score.
 * - `lookupGradients(scores, upstream, stride, ...tile, gradients)` adds upstream times derivative (within ±3e38, as in
 *   the reference) to the entries that were looked up; `gradients` is laid out like `lookups`, with addresses to add
 *   to. An upstream of 0 adds nothing, even where the derivative is NaN: so it is for pairs that are not allowed.
 */
export function emitModifier(node: NumberNode, { sharedMemory }: EmitWasmOptions = {}): EmittedWasm {
  const layout = emitLayout([node]);
  const exp = expFunction();
  const functions = { exp: 0, tanh: 1 };
  return {
    bytes: encodeModule({
      functions: [
        exp,
        tanhFunction(functions.exp),
        elementwise(node, layout, functions),
        elementwise(scoreDerivative(node), layout, functions),
        lookupGradients(node, layout, functions),
      ],
      exports: { modify: 2, scoreDerivative: 3, lookupGradients: 4 },
      sharedMemory,
    }),
    layout,
  };
}

type MathFunctions = ExpressionInputs["functions"];

function elementwise(node: NumberNode, layout: EmitLayout, functions: MathFunctions): FunctionWriter {
  const fn = new FunctionWriter([i32, i32, i32, ...tileArguments.map(() => i32)]);
  const [scores, out, stride] = [0, 1, 2];
  const root: Root = { type: "number", node };
  const score = fn.local(f32);
  tileLoops(fn, { first: 3, layout, roots: [root], functions, score }, (writer, at) => ({
    pair() {
      address(fn, scores, at.index).memory(op.f32Load, 2).set(score);
      address(fn, out, at.index);
      writer.emit(root);
      fn.memory(op.f32Store, 2);
    },
    row() {
      nextRow(fn, scores, stride);
      nextRow(fn, out, stride);
    },
  }));
  return fn;
}

function lookupGradients(node: NumberNode, layout: EmitLayout, functions: MathFunctions): FunctionWriter {
  const fn = new FunctionWriter([i32, i32, i32, ...tileArguments.map(() => i32), i32]);
  const [scores, upstream, stride, gradients] = [0, 1, 2, 3 + tileArguments.length];
  const [score, slope, product] = [fn.local(f32), fn.local(f32), fn.local(f32)];
  const [index, target] = [fn.local(i32), fn.local(i32)];
  const derivatives = lookupDerivatives(node);
  const roots = derivatives.flatMap(({ lookup, derivative }): Root[] => [
    { type: "word", node: lookup.index },
    { type: "number", node: derivative },
  ]);
  tileLoops(fn, { first: 3, layout, roots, functions, score, gradients }, (writer, at) => ({
    pair() {
      address(fn, scores, at.index).memory(op.f32Load, 2).set(score);
      address(fn, upstream, at.index).memory(op.f32Load, 2).tee(slope).f32(0).emit(op.f32Ne);
      fn.if(() => {
        for (const { lookup, derivative } of derivatives) {
          writer.emit({ type: "word", node: lookup.index });
          fn.set(index);
          writer.emit({ type: "number", node: derivative });
          fn.f32(STEEPEST).emit(op.f32Min).f32(-STEEPEST).emit(op.f32Max);
          fn.get(slope).emit(op.f32Mul).set(product);
          const { row, length } = at.gradient(lookup.table);
          fn.get(index)
            .get(length)
            .emit(op.i32LtU)
            .if(() => {
              address(fn, row, index)
                .tee(target)
                .get(target)
                .memory(op.f32Load, 2)
                .get(product)
                .emit(op.f32Add);
              fn.memory(op.f32Store, 2);
            });
        }
      });
    },
    row() {
      nextRow(fn, scores, stride);
      nextRow(fn, upstream, stride);
    },
  }));
  return fn;
}

/** `base + 4 index` on the stack. */
function address(fn: FunctionWriter, base: number, index: number): FunctionWriter {
  return fn.get(base).get(index).i32(2).emit(op.i32Shl, op.i32Add);
}

/** `pointer += 4 stride` */
function nextRow(fn: FunctionWriter, pointer: number, stride: number): void {
  address(fn, pointer, stride).set(pointer);
}

interface LoopParts {
  /** Index of the tile's first argument among the parameters. */
  readonly first: number;
  readonly layout: EmitLayout;
  readonly roots: readonly Root[];
  readonly functions: MathFunctions;
  readonly score?: number;
  readonly gradients?: number;
}

interface LoopLocals {
  /** Index of the key within the tile. */
  readonly index: number;
  readonly keyCount: number;
  readonly gradient: (name: string) => LookupLocals;
}

interface LoopBody {
  /** Emits what is done for a pair. */
  pair(): void;
  /** Emits what is done after a row of keys. */
  row?(): void;
}

/** Emits the two loops over a tile, with what does not change in the inner one computed outside it. */
function tileLoops(
  fn: FunctionWriter,
  { first, layout, roots, functions, score = 0, gradients }: LoopParts,
  body: (writer: ExpressionWriter, locals: LoopLocals) => LoopBody,
): void {
  const argument = (name: (typeof tileArguments)[number]) => first + tileArguments.indexOf(name);
  const [query, key, row] = [fn.local(i32), fn.local(i32), fn.local(i32)];
  const [queryIndex, index] = [fn.local(i32), fn.local(i32)];
  const attributes = layout.attributes.map((_, at) => {
    const local = fn.local(i32);
    fn.get(argument("attributes"))
      .memory(op.i32Load, 2, 4 * at)
      .set(local);
    return local;
  });
  const tensors = (pointer: number) =>
    layout.lookups.map((_, at) => {
      const locals = {
        base: fn.local(i32),
        stride: fn.local(i32),
        length: fn.local(i32),
        row: fn.local(i32),
      };
      for (const [slot, local] of [locals.base, locals.stride, locals.length].entries())
        fn.get(pointer)
          .memory(op.i32Load, 2, 12 * at + 4 * slot)
          .set(local);
      return locals;
    });
  const lookups = tensors(argument("lookups"));
  const sums = gradients === undefined ? [] : tensors(gradients);
  const [head, queryLength, keyLength] = [argument("head"), argument("queryLength"), argument("keyLength")];
  const writer = new ExpressionWriter(
    fn,
    {
      variables: { query, key, head, queryLength, keyLength },
      row,
      tables: argument("tables"),
      attribute: (of, name) =>
        attributes[layout.attributes.findIndex((slot) => slot.of === of && slot.name === name)]!,
      lookup: (name) => lookups[layout.lookups.indexOf(name)]!,
      score,
      functions,
    },
    layout,
    roots,
  );
  const gradient = (name: string) => sums[layout.lookups.indexOf(name)]!;
  const loop = body(writer, { index, keyCount: argument("keyCount"), gradient });

  writer.hoist(0);
  fn.get(argument("queryStart")).set(query);
  fn.while(queryIndex, argument("queryCount"), () => {
    fn.get(query).get(argument("queryOffset")).emit(op.i32Sub).set(row);
    for (const tensor of [...lookups, ...sums]) {
      fn.get(tensor.base).get(row).get(tensor.stride).emit(op.i32Mul).i32(2).emit(op.i32Shl, op.i32Add);
      fn.set(tensor.row);
    }
    writer.hoist(1);
    fn.get(argument("keyStart")).set(key).i32(0).set(index);
    fn.while(index, argument("keyCount"), () => {
      loop.pair();
      fn.get(key).get(argument("keyStep")).emit(op.i32Add).set(key).advance(index, 1);
    });
    loop.row?.();
    fn.get(query).get(argument("queryStep")).emit(op.i32Add).set(query).advance(queryIndex, 1);
  });
}
