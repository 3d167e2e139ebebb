export * from "./cache-write.ts";
export * from "./cache.ts";
export * from "./call.ts";
export * from "./heads.ts";
export * from "./maps.ts";
export * from "./mechanism.ts";
export * from "./operation.ts";
export * from "./standard-patterns.ts";
export * from "./expression/apply-modifier.ts";
export * from "./expression/builders.ts";
export { compileBoolean } from "./expression/compile.ts";
export type { Frame, FrameAttributes, RowProgram } from "./expression/compile.ts";
export * from "./expression/derivative.ts";
export { emitLayout, tableBytes } from "./expression/emit-layout.ts";
export type { AttributeSlot, EmitLayout } from "./expression/emit-layout.ts";
export { emitMask, emitModifier, tileArguments } from "./expression/emit-wasm.ts";
export type { EmittedWasm, EmitWasmOptions } from "./expression/emit-wasm.ts";
export { emitMaskWgsl, emitModifierWgsl, tableWords } from "./expression/emit-wgsl.ts";
export type { EmittedWgsl } from "./expression/emit-wgsl.ts";
export * from "./expression/evaluate.ts";
export * from "./expression/json.ts";
export { checkAllowsSomething, copyMaskShape, sameMaskShape } from "./expression/mask-shape.ts";
export * from "./expression/mask.ts";
export * from "./expression/modifier.ts";
export { disjointParts } from "./expression/parts.ts";
export type { ExpressionPart } from "./expression/parts.ts";
export * from "./expression/pattern-json.ts";
export * from "./expression/pattern.ts";
export { densePermutation } from "./expression/permutation.ts";
export type { DensePermutation } from "./expression/permutation.ts";
export * from "./expression/picture.ts";
export * from "./expression/table.ts";
export { preferredBlock } from "./expression/tile-block.ts";
export { tilesOf } from "./expression/tile-grid.ts";
export type { StatusTile, TileSize, TiledCall } from "./expression/tile-grid.ts";
export { attributeRange } from "./expression/tile-range.ts";
export type {
  AttributeRange,
  AttributeValues,
  StridedRange,
  TileAttributes,
  TileContext,
  TileStatus,
} from "./expression/tile-range.ts";
export { compileTileStatus, tileStatus } from "./expression/tile-status.ts";
export type { TileStatusFunction } from "./expression/tile-status.ts";
export * from "./expression/tree.ts";
export * from "./expression/validate.ts";
export * from "./mechanisms/longformer.ts";
export * from "./modifiers/soft-cap.ts";
export * from "./patterns/big-bird.ts";
export * from "./patterns/block-table.ts";
export * from "./patterns/causal.ts";
export * from "./patterns/dilated.ts";
export * from "./patterns/documents.ts";
export * from "./patterns/fixed.ts";
export * from "./patterns/full.ts";
export * from "./patterns/global-tokens.ts";
export * from "./patterns/padding.ts";
export * from "./patterns/prefix.ts";
export * from "./patterns/sliding-window.ts";
export * from "./patterns/strided.ts";
