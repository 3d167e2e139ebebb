/** Who holds values that are gone when a backend loses its device, and how they come back. */
import type { Tensor } from "@tensorflow/tfjs-core";

/** Something that holds tensors for as long as it lives: a tree of weights. */
export interface ValueHolder {
  /** Lets go of tensors that are gone. */
  lose(isGone: (tensor: Tensor) => boolean): void;
  /** Reads again what it let go of, where it knows where from. */
  restore(): Promise<void>;
}

/** In the order of their making: an overlay comes after the tree below it. */
const holders = new Set<WeakRef<ValueHolder>>();
const collected = new FinalizationRegistry<WeakRef<ValueHolder>>((reference) => holders.delete(reference));

function present(): ValueHolder[] {
  return [...holders].flatMap((reference) => reference.deref() ?? []);
}

/** Remembers a holder until it is removed, or nobody refers to it any more. */
export function addHolder(holder: ValueHolder): void {
  const reference = new WeakRef(holder);
  holders.add(reference);
  collected.register(holder, reference);
}

/** Forgets a holder that has let go of everything. */
export function removeHolder(holder: ValueHolder): void {
  for (const reference of holders) if (reference.deref() === holder) holders.delete(reference);
}

/** Makes all holders let go of tensors that are gone. */
export function loseValues(isGone: (tensor: Tensor) => boolean): void {
  for (const holder of present()) holder.lose(isGone);
}

/** Lets all holders read again what they lost; the first failure is thrown after all have tried. */
export async function restoreValues(): Promise<void> {
  const failures: unknown[] = [];
  for (const holder of present())
    try {
      await holder.restore();
    } catch (error) {
      failures.push(error);
    }
  if (failures.length > 0) throw failures[0];
}
