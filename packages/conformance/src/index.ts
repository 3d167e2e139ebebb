export * from "./fuzz-checkpoint.ts";
export * from "./random-expression.ts";
export * from "./random-modifier.ts";
export * from "./wasm-tile.ts";
export * from "./random-tiles.ts";
export * from "./tile-cases.ts";
export * from "./tile-truth.ts";
