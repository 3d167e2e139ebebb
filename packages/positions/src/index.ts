export * from "./alibi.ts";
export * from "./learned.ts";
export * from "./position.ts";
export * from "./relative-bias.ts";
export * from "./rotary.ts";
export * from "./sinusoidal.ts";
