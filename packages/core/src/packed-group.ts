/** Matrices that lie packed side by side, in place of their plain values, until one of those is read. */
import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { slice } from "./operations/shape.ts";
import type { MatrixForm, MatrixLayout, PackedMatrix } from "./packing.ts";
import { withoutTape } from "./tape.ts";

/** One of the matrices: what holds its plain values when they are not packed. */
export interface GroupMember {
  readonly shape: readonly number[];
  /** Takes over a tensor with the plain values. */
  hold(plain: Tensor): void;
}

/** What is packed together. */
export interface PackedGroup {
  /** All of them as one matrix, their outputs one after the other. */
  readonly matrix: PackedMatrix;
  /** Whether it holds these, in this order and form, and nothing else. */
  holds(members: readonly GroupMember[], form: MatrixForm, layout: MatrixLayout): boolean;
  /** Gives the plain values back to those that have not left. */
  unpack(): void;
  /** For a member whose values are not wanted any more. The packed ones are freed with the last. */
  leave(member: GroupMember): void;
}

/** Puts `members` together; `pack` gives the values of all in that form. */
export function packGroup(
  members: readonly GroupMember[],
  packing: MatrixForm,
  layout: MatrixLayout,
  pack: () => Tensor,
): PackedGroup {
  const axis = layout === "linear" ? 0 : 1;
  const lengths = members.map(({ shape }) => shape[axis]!);
  const shape = members[0]!.shape.with(
    axis,
    lengths.reduce((a, b) => a + b),
  );
  const values = tf.keep(tf.tidy(pack));
  const matrix: PackedMatrix = { kind: "packed", packing, layout, shape, values };
  const present = new Set(members);
  const home = tf.backend();
  return {
    matrix,
    holds: (wanted, form, order) =>
      // Of a backend that was stopped, another of its kind has nothing.
      home === tf.backend() &&
      form === packing &&
      order === layout &&
      wanted.length === members.length &&
      wanted.every((member, i) => member === members[i] && present.has(member)),
    unpack() {
      const parts = withoutTape(() =>
        tf.tidy(() => {
          const all = packing.unpack(matrix);
          if (members.length === 1) return [all];
          const begins = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
          return lengths.map((size, i) => slice({ x: all, axis, begin: begins[i]!, size }));
        }),
      );
      members.forEach((member, i) => (present.has(member) ? member.hold(parts[i]!) : parts[i]!.dispose()));
    },
    leave(member) {
      if (present.delete(member) && present.size === 0) values.dispose();
    },
  };
}
