/** Parameters in the forms that a backend's kernels read: packed side by side, or 16-bit numbers in pairs. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { activeBackend } from "./backend.ts";
import { HeddleError, checkShape, reject } from "./errors.ts";
import { pairs } from "./half-precision.ts";
import { packGroup } from "./packed-group.ts";
import type { MatrixForm, MatrixLayout, PackedMatrix, Packing } from "./packing.ts";
import { cellOf } from "./parameter.ts";
import type { Cell, Parameter } from "./parameter.ts";
import { isWithinDifferentiate } from "./tape.ts";

/** Parameters as one matrix, whose values are made where they are not there; `check` looks at each before. */
function together(
  parameters: readonly Parameter[],
  form: MatrixForm,
  layout: MatrixLayout,
  { check, pack }: { check(parameter: Parameter): void; pack(members: readonly Cell[]): Tensor },
): PackedMatrix {
  const members = parameters.map(cellOf);
  const present = members[0]?.group;
  if (present?.holds(members, form, layout)) return present.matrix;
  const width = parameters[0]?.shape[layout === "linear" ? 1 : 0] ?? null;
  for (const parameter of parameters) {
    checkShape(
      `${parameter.name}: shape`,
      parameter.shape,
      layout === "linear" ? [null, width] : [width, null],
    );
    check(parameter);
  }
  const group = packGroup(members, form, layout, () => pack(members));
  for (const member of members) member.join(group);
  return group.matrix;
}

/**
 * The values of weights of `linear` over the same input, side by side as one matrix in a backend's layout, which takes
 * the place of the plain ones until one of them is read by `tensor`. Owned by the parameters. Tensors that `tensor` gave
 * before are freed.
 * @throws HeddleError `invalid-argument` for 16-bit storage and for matrices of different input widths, `invalid-state`
 * while differentiating.
 */
export function packTogether(
  parameters: readonly Parameter[],
  packing: Packing,
  layout: MatrixLayout,
): PackedMatrix {
  if (parameters.length === 0) reject("packTogether: parameters", "hold at least one", parameters);
  return together(parameters, packing, layout, {
    check({ name, storage }) {
      if (storage !== "f32") reject(`${name}: storage`, "be f32 to be packed", storage);
      if (isWithinDifferentiate())
        throw new HeddleError(
          "invalid-state",
          `${name}: must not be packed while differentiating, which may watch its plain values`,
        );
    },
    pack() {
      const plain = parameters.map((parameter) => parameter.tensor());
      return packing.pack(
        plain.length === 1 ? plain[0]! : tf.concat(plain, layout === "linear" ? 0 : 1),
        layout,
      );
    },
  });
}

/**
 * Matrices in 16-bit storage as the active backend's kernels read them, one after the other along their outputs as one
 * matrix; undefined where they read none, or the matrices are not all of one 16-bit kind. The parameters keep their bits,
 * and own the result.
 */
export function halvesTogether(
  parameters: readonly Parameter[],
  layout: MatrixLayout,
): PackedMatrix | undefined {
  const storage = parameters[0]?.storage ?? "f32";
  const halves = activeBackend()?.halves;
  if (!halves || storage === "f32" || parameters.some((other) => other.storage !== storage)) return undefined;
  return together(parameters, halves[storage], layout, {
    check() {},
    pack(members) {
      const rows = layout === "linear" ? 1 : members[0]!.shape[0]!;
      const words = pairs(
        members.map(({ bits }) => bits!),
        rows,
      );
      return tf.tensor1d(words, "int32");
    },
  });
}

/** A table for `embedding`: in 16-bit storage as the active backend's kernels read it, if no gradient is to come. */
export function tableOf(parameter: Parameter): Tensor | PackedMatrix {
  const halves = isWithinDifferentiate() ? undefined : halvesTogether([parameter], "linear");
  return halves ?? parameter.tensor();
}
