/** Score modifiers of a call, as kernels/attention.c reads them. */
import { attributesOfRow, emitModifier, tableBytes } from "@heddle/attention";
import type { AttentionCall, EmittedWasm, MaskShape } from "@heddle/attention";
import type { Tensor } from "@tensorflow/tfjs-core";
import { HeapImage } from "./heap-image.ts";
import type { LoadedImage, Place } from "./heap-image.ts";
import type { Machine } from "./machine.ts";

type Modifier = NonNullable<AttentionCall["modifiers"]>[number];

/** Modules kept in the table, since the layers of a model ask for the same few: no call may have more modifiers. */
export const GREATEST_MODIFIERS = 64;

interface Slot {
  readonly score: Modifier["score"];
  readonly layout: EmittedWasm["layout"];
  /** Number of the first of its three functions. */
  readonly number: number;
}

/** The functions of a module, in the order in which kernels/attention.h has them. */
const FUNCTIONS = ["modify", "scoreDerivative", "lookupGradients"] as const;

/** The modules in each machine's table, the one used last behind. */
const slots = new WeakMap<Machine, Slot[]>();

/** A modifier's module in the table. */
function slotOf(machine: Machine, score: Modifier["score"]): Slot {
  const known = slots.get(machine) ?? [];
  slots.set(machine, known);
  const at = known.findIndex((slot) => slot.score === score);
  if (at >= 0) {
    const [slot] = known.splice(at, 1);
    known.push(slot!);
    return slot!;
  }
  const { bytes, layout } = emitModifier(score, { sharedMemory: machine.sharedMemory });
  const freed = known.length < GREATEST_MODIFIERS ? undefined : known.shift()!.number;
  const number = machine.link(new WebAssembly.Module(bytes), FUNCTIONS, freed);
  const slot = { score, layout, number };
  known.push(slot);
  return slot;
}

/** The modifiers of a call in the heap. */
export interface PlacedModifiers {
  /** Where their structs are. */
  readonly address: number;
  readonly count: number;
  /** Tensors that all of them look up. */
  readonly lookups: number;
  /** Where the positions of the first queries are, [batch], which only modifiers read. */
  readonly queryOffsets: number;
  free(): void;
}

/** Nothing in the heap: a step of decoding places them in every layer. */
const none: PlacedModifiers = {
  address: 0,
  count: 0,
  lookups: 0,
  queryOffsets: 0,
  free() {},
};

/** The strides of a tensor, [batch or 1, heads or 1, queries or 1, length], in floats. */
function lookupWords(machine: Machine, tensor: Tensor): number[] {
  const [batch, heads, rows, length] = tensor.shape as [number, number, number, number];
  const [row, head] = [length, rows * length];
  return [
    machine.address(tensor),
    batch === 1 ? 0 : heads * head,
    heads === 1 ? 0 : head,
    rows === 1 ? 0 : row,
    length,
  ];
}

/**
 * Puts the modifiers of a call into the heap; the caller frees them.
 * @param gradients Where the gradients of what they look up are added, by modifier and name; of every batch row and
 * head.
 * @throws HeddleError `invalid-argument` for an attribute that one reads and the call lacks.
 */
export function placeModifiers(
  machine: Machine,
  call: AttentionCall,
  shape: MaskShape,
  gradients?: readonly Readonly<Record<string, Tensor>>[],
): PlacedModifiers {
  const { modifiers = [], queryOffset = 0 } = call;
  if (modifiers.length === 0) return none;
  const batch = call.q.shape[0]!;
  const image = new HeapImage();
  const offsets = Array.from({ length: batch }, (_, b) =>
    typeof queryOffset === "number" ? queryOffset : queryOffset[b]!,
  );
  const queryOffsets = image.put(offsets);
  let lookups = 0;
  const structs = modifiers.flatMap(({ score, tables = {} }, i): (number | Place)[] => {
    const { number, layout } = slotOf(machine, score);
    const place = (tensors: Readonly<Record<string, Tensor>>): Place =>
      image.put(layout.lookups.flatMap((name) => lookupWords(machine, tensors[name]!)));
    lookups += layout.lookups.length;
    return [
      ...FUNCTIONS.map((_, at) => number + at),
      place(tables as Readonly<Record<string, Tensor>>),
      gradients ? place(gradients[i]!) : 0,
      layout.lookups.length,
      image.put(attributeLists(image, layout, shape)),
      (shape.attributes?.batch ?? 1) > 1 ? layout.attributes.length : 0,
      image.put(tableBytes(layout)),
    ];
  });
  const list = image.put(structs);
  const { addressOf, free }: LoadedImage = image.load(machine);
  return {
    address: addressOf(list),
    count: modifiers.length,
    lookups,
    queryOffsets: addressOf(queryOffsets),
    free,
  };
}

/** The values of the attributes that a modifier reads, for each batch row that the attributes have. */
function attributeLists(
  image: HeapImage,
  layout: EmittedWasm["layout"],
  { attributes = {}, queryRows, keyLength }: MaskShape,
): Place[] {
  const { batch = 1 } = attributes;
  const place = { where: "attention", reader: "a modifier" };
  return Array.from({ length: batch }, (_, row) =>
    layout.attributes.map(({ of, name }) => {
      const length = of === "query" ? queryRows : keyLength;
      return image.put(
        attributesOfRow(place, of, new Set([name]), attributes, { row, batch, length })[name]!,
      );
    }),
  ).flat();
}
