import type { Measurement } from "./figure.ts";

export type LazyMeasurement = () => Promise<{ readonly default: Measurement }>;

/** The figures of each issue, by the name that `npm run figures -- <issue> --only <name>` takes. */
export const issues: Readonly<Record<string, Readonly<Record<string, LazyMeasurement>>>> = {
  loom: {},
};
