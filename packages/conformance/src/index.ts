export * from "./fuzz-checkpoint.ts";
