import * as tf from "@tensorflow/tfjs-core";
import type { Tensor } from "@tensorflow/tfjs-core";
import { requireBackend } from "./backend.ts";
import { HeddleError, checkOneOf, checkShape, reject } from "./errors.ts";
import { widenBF16, widenF16 } from "./half-precision.ts";
import type { GroupMember, PackedGroup } from "./packed-group.ts";
import type { HalfForms } from "./packing.ts";
import { withoutTape } from "./tape.ts";

/** How values are held: as a float32 tensor, or as 16-bit numbers. */
export type StorageKind = "f32" | HalfKind;

/** Kinds of 16-bit numbers: IEEE half precision, and bfloat16. */
export type HalfKind = keyof HalfForms;

/**
 * A named cell with a tensor. It is filled when it is first read, or earlier by a checkpoint; after that its values
 * change only through `assign`, `assignHalf` and `replace`, or in place (`touch`), which raise its version.
 */
export interface Parameter {
  /** Full name, as Hugging Face writes it: `h.0.attn.c_attn.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** Number of values. */
  readonly size: number;
  /** Grows by one with every change of the values. */
  readonly version: number;
  /** Whether an optimizer changes it. @default true */
  trainable: boolean;
  /**
   * Whether the plain values are read in every pass besides a `linear` (an embedding that the output layer shares), so
   * that no packed copy takes their place. @default false
   */
  plain: boolean;
  /**
   * Half of the memory for `f16` and `bf16`, for inference: they cannot be differentiated by. Kernels read matrices so
   * where the backend says it (`halves`); else the values are widened at each use.
   */
  readonly storage: StorageKind;
  /**
   * The values as float32. Owned by the parameter, so do not dispose them, and read them anew after a forward pass,
   * which may pack them (`packTogether`); in 16-bit storage a new tensor that belongs to the scope (`tf.tidy`) in which
   * it is read. Values that were packed are unpacked and stay so.
   */
  tensor(): Tensor;
  /** Whether values are held now; reading makes the first ones. */
  readonly filled: boolean;
  /** Copies new values in. @throws HeddleError for another shape. */
  assign(values: Float32Array | Tensor): void;
  /** Takes 16-bit values, which stay as they are until they are read. */
  assignHalf(storage: HalfKind, bits: Uint16Array): void;
  /** Puts a tensor in place of the present one and owns it from now on. */
  replace(tensor: Tensor): void;
  /**
   * Tells that the values were changed in place, which a kernel may do when it alone holds them (`exclusive`).
   */
  touch(): void;
  /** Whether nothing else (a clone, a saved input, a reshaped view) shares the memory of the values. */
  readonly exclusive: boolean;
  /** Frees the values; reading them afterwards is an error. */
  dispose(): void;
}

const widenings = { f16: widenF16, bf16: widenBF16 } as const;

/** What weights and `packTogether` know of a parameter beside its face. */
export interface Cell extends GroupMember {
  readonly group: PackedGroup | null;
  /** The bits of 16-bit storage. */
  readonly bits: Uint16Array | null;
  /** Whether values are missing that only `assign`, `assignHalf` and `replace` can give. */
  readonly lost: boolean;
  /** Lets go of values that are gone. First values are made again when they are read. */
  lose(isGone: (tensor: Tensor) => boolean): void;
  /** The values are in the group from now on. */
  join(group: PackedGroup): void;
}

const cells = new WeakMap<Parameter, Cell>();

/** The part of a parameter that is for weights and packing alone. */
export function cellOf(parameter: Parameter): Cell {
  return cells.get(parameter)!;
}

/** A cell whose first values come from `first`; a tensor that it gives belongs to the cell. */
export function createParameter(
  name: string,
  shape: readonly number[],
  first: () => Float32Array | Tensor,
): Parameter {
  const size = shape.reduce((product, length) => product * length, 1);
  let held: Tensor | null = null;
  let group: PackedGroup | null = null;
  let half: { readonly storage: HalfKind; readonly bits: Uint16Array } | null = null;
  let version = 0;
  let disposed = false;
  let lost = false;
  const alive = (): void => {
    if (disposed)
      throw new HeddleError("invalid-state", `${name}: must not be used after its weights were disposed`);
  };
  /** Frees what is on the backend. */
  const leave = (): void => {
    held?.dispose();
    group?.leave(cell);
    held = group = null;
    lost = false;
  };
  const free = (): void => {
    leave();
    half = null;
  };
  const hold = (tensor: Tensor): void => {
    if (tensor === held) return;
    free();
    held = tf.keep(tensor);
  };
  const cell: Cell = {
    shape,
    get group() {
      return group;
    },
    get bits() {
      return half?.bits ?? null;
    },
    get lost() {
      return lost;
    },
    lose(isGone) {
      const values = held ?? group?.matrix.values;
      if (!values || !isGone(values)) return;
      leave();
      lost = version > 0 && half === null;
    },
    hold,
    join(joined) {
      if (group === joined) return;
      leave();
      group = joined;
    },
  };
  const tensorOf = (values: Float32Array | Tensor): Tensor => {
    requireBackend(name);
    return values instanceof Float32Array
      ? tf.tensor(values, [...shape], "float32")
      : withoutTape(() => tf.clone(values));
  };
  const check = (values: Float32Array | Tensor): void => {
    alive();
    if (!(values instanceof Float32Array)) {
      checkShape(`${name}: values`, values.shape, shape);
      if (values.dtype !== "float32") reject(`${name}: values`, "be float32", values.dtype);
    } else if (values.length !== size) reject(`${name}: values`, `hold ${size} numbers`, values.length);
  };
  const parameter: Parameter = {
    name,
    shape,
    size,
    trainable: true,
    plain: false,
    get version() {
      return version;
    },
    get filled() {
      return held !== null || group !== null || half !== null;
    },
    get storage() {
      return half?.storage ?? "f32";
    },
    get exclusive() {
      return held !== null && tf.backend().refCount(held.dataId) === 1;
    },
    tensor() {
      if (half !== null) return tensorOf(widenings[half.storage](half.bits));
      if (group !== null) group.unpack();
      else if (held === null) {
        alive();
        if (lost)
          throw new HeddleError(
            "invalid-state",
            `${name}: values must be loaded or assigned again, since the device that held them was lost`,
          );
        const values = first();
        try {
          check(values);
        } catch (error) {
          if (!(values instanceof Float32Array)) values.dispose();
          throw error;
        }
        hold(values instanceof Float32Array ? tensorOf(values) : values);
      } else if (held.isDisposed)
        throw new HeddleError(
          "invalid-state",
          `${name}: tensor must not be disposed by others, it belongs to the weights`,
        );
      return held!;
    },
    assign(values) {
      check(values);
      // A tensor on the CPU backend is the array that it is made of.
      hold(tensorOf(values instanceof Float32Array ? values.slice() : values));
      version++;
    },
    assignHalf(storage, bits) {
      alive();
      checkOneOf(`${name}: storage`, storage, ["f16", "bf16"]);
      if (bits.length !== size) reject(`${name}: bits`, `hold ${size} numbers`, bits.length);
      free();
      half = { storage, bits };
      version++;
    },
    replace(tensor) {
      check(tensor);
      hold(tensor);
      version++;
    },
    touch() {
      version++;
    },
    dispose() {
      free();
      disposed = true;
    },
  };
  cells.set(parameter, cell);
  return parameter;
}
