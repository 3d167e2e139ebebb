export * from "./wasm.ts";
