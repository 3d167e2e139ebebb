import type { Activation } from "@heddle/core";
import * as v from "valibot";
import { oneOf } from "./config.ts";

/** Names of activations in config.json, with the synonyms that Hugging Face has for them. */
const NAMES = {
  gelu: "gelu",
  gelu_new: "gelu_new",
  gelu_pytorch_tanh: "gelu_new",
  relu: "relu",
  silu: "silu",
  swish: "silu",
  tanh: "tanh",
} as const satisfies Record<string, Activation>;

/** The activation that a name in config.json stands for. */
export const activationName: v.GenericSchema<string, Activation> = v.pipe(
  oneOf(Object.keys(NAMES)),
  v.transform((name) => NAMES[name as keyof typeof NAMES]),
);
