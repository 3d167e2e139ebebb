export * from "./context.ts";
export * from "./cross-attention.ts";
export * from "./embedding.ts";
export * from "./feed-forward.ts";
export * from "./linear.ts";
export * from "./norms.ts";
export * from "./self-attention.ts";
