export * from "./expression/tree.ts";
