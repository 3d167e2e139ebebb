import type { Activation } from "@heddle/core";

/** The numbers by which the kernels know the activations: the order of the enum in kernels/activation.h. */
export const activationCodes: Readonly<Record<Activation, number>> = {
  gelu: 1,
  gelu_new: 2,
  relu: 3,
  silu: 4,
  tanh: 5,
};
