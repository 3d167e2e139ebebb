/** Broken copies of a valid checkpoint directory, each made from a seed. */
import { randomStream } from "@heddle/core";

/** The files of a checkpoint directory by name. */
export type CheckpointBytes = ReadonlyMap<string, Uint8Array>;

/** A directory with one kind of damage. */
export interface BrokenCheckpoint {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  /** What was done, for a test's message. */
  readonly damage: string;
  /**
   * True when bytes of tensor data were changed in place, so that other values may be read. Otherwise a tensor that is
   * read under its old name must have its old dtype, shape and values.
   */
  readonly dataChanged: boolean;
}

interface Damage {
  readonly what: string;
  readonly dataChanged?: boolean;
}

type Pick = <T>(from: readonly T[]) => T;

interface Wreck {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>;
  readonly pick: Pick;
  /** An integer from 0 to `end` (exclusive). */
  readonly below: (end: number) => number;
}

const utf8 = new TextEncoder();
type Json = Record<string, unknown>;
const metadataKey = "__metadata__";

const wrongValues: readonly unknown[] = [
  null,
  true,
  "",
  "12",
  "../x",
  [],
  {},
  [0, 1],
  -1,
  0,
  1.5,
  1e9,
  2 ** 53,
  1e300,
  "x".repeat(5000),
];

function headerEnd(bytes: Uint8Array): number {
  return 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
}

function isTensors(file: string): boolean {
  return file.endsWith(".safetensors");
}

function parse(bytes: Uint8Array): Json {
  return JSON.parse(new TextDecoder().decode(bytes)) as Json;
}

function withHeader(bytes: Uint8Array, header: string): Uint8Array<ArrayBuffer> {
  const json = utf8.encode(header);
  const data = bytes.subarray(headerEnd(bytes));
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

function pickTensors({ files, pick }: Wreck): [string, Uint8Array<ArrayBuffer>] {
  const file = pick([...files.keys()].filter(isTensors));
  return [file, files.get(file)!];
}

/** Flips bits in one part of a file and says whether tensor data was met. */
function flip(wreck: Wreck, file: string, from: number, to: number, count: number): Damage {
  const bytes = wreck.files.get(file)!;
  const data = isTensors(file) ? headerEnd(bytes) : Infinity;
  let dataChanged = false;
  for (let time = 0; time < count; time++) {
    const at = from + wreck.below(to - from);
    dataChanged ||= at >= data;
    bytes[at]! ^= 1 << wreck.below(8);
  }
  return { what: `${count} bits of ${file} between ${from} and ${to} flipped`, dataChanged };
}

/** A lie about one tensor that a reader can see: no other tensor and no size would fit it. */
function lie(entry: Json, other: Json, { pick, below }: Wreck): string {
  const [begin, end] = entry.data_offsets as [number, number];
  const key = pick(["shape", "dtype", "data_offsets"]);
  const shape = entry.shape as number[];
  const lies: Record<string, readonly unknown[]> = {
    shape: [
      [...shape, 2],
      [...shape, -1],
      [...shape, 0],
      [...shape, 1.5],
      [...shape, "1"],
      [2 ** 52, 2 ** 52],
      ...wrongValues,
    ],
    dtype: ["F64", "F8_E5M2", "f32", ["F32"], entry.dtype === "I64" ? "F32" : "I64", ...wrongValues],
    data_offsets: [
      [begin, end + 1],
      [begin + 1, end + 1],
      [begin - 1, end],
      [end, begin],
      [begin, 2 ** 53],
      [begin, end, end],
      [String(begin), end],
      [begin + 1 + below(8), end],
      other.data_offsets,
      ...wrongValues,
    ],
  };
  const value = pick(lies[key]!);
  // These would be true of some tensor.
  if (
    JSON.stringify(value) === JSON.stringify(entry[key]) ||
    (key === "shape" && Array.isArray(value) && value.length === 0)
  )
    delete entry[key];
  else entry[key] = value;
  return `${key} became ${JSON.stringify(entry[key])?.slice(0, 60)}`;
}

const damages: readonly ((wreck: Wreck) => Damage)[] = [
  function flipAnywhere(wreck) {
    const file = wreck.pick([...wreck.files.keys()]);
    return flip(wreck, file, 0, wreck.files.get(file)!.length, 1 + wreck.below(4));
  },
  function flipHeader(wreck) {
    const [file, bytes] = pickTensors(wreck);
    return flip(wreck, file, 8, headerEnd(bytes), 1 + wreck.below(2));
  },
  function flipData(wreck) {
    const [file, bytes] = pickTensors(wreck);
    return flip(wreck, file, headerEnd(bytes), bytes.length, 1 + wreck.below(16));
  },
  function truncate({ files, pick, below }) {
    const file = pick([...files.keys()]);
    const bytes = files.get(file)!;
    const length = below(bytes.length);
    files.set(file, bytes.slice(0, length));
    return { what: `${file} cut to ${length} bytes` };
  },
  function extend({ files, pick, below }) {
    const file = pick([...files.keys()]);
    const more = Array.from({ length: 1 + below(32) }, () => below(256));
    files.set(file, Uint8Array.of(...files.get(file)!, ...more));
    return { what: `${more.length} bytes after ${file}` };
  },
  function remove({ files, pick }) {
    const file = pick([...files.keys()]);
    files.delete(file);
    if (isTensors(file) && pick([true, false])) files.set("pytorch_model.bin", Uint8Array.of(0x80, 2, 0x2e));
    return { what: `${file} removed` };
  },
  function swap({ files, pick }) {
    const [one, other] = [pick([...files.keys()]), pick([...files.keys()])];
    const bytes = files.get(one)!;
    files.set(one, files.get(other)!);
    if (pick([true, false])) files.set(other, bytes);
    return { what: `${one} has the bytes of ${other}` };
  },
  function noise({ files, pick, below }) {
    const file = pick([...files.keys()]);
    files.set(
      file,
      Uint8Array.from({ length: below(300) }, () => below(256)),
    );
    return { what: `${file} became noise` };
  },
  function lengthLies(wreck) {
    const [file, bytes] = pickTensors(wreck);
    const header = BigInt(headerEnd(bytes) - 8);
    const length = wreck.pick([
      0n,
      1n,
      header - 1n,
      header + 1n,
      header + 8n,
      BigInt(bytes.length),
      2n ** 31n,
      2n ** 63n,
      2n ** 64n - 1n,
    ]);
    new DataView(bytes.buffer).setBigUint64(0, length, true);
    return { what: `${file} says that its header has ${length} bytes` };
  },
  function headerLies(wreck) {
    const [file, bytes] = pickTensors(wreck);
    const header = parse(bytes.subarray(8, headerEnd(bytes)));
    const names = Object.keys(header).filter((name) => name !== metadataKey);
    const name = wreck.pick(names);
    const other = names[(names.indexOf(name) + 1) % names.length]!;
    const what = lie(header[name] as Json, header[other] as Json, wreck);
    wreck.files.set(file, withHeader(bytes, JSON.stringify(header)));
    return { what: `${file}: ${name}: ${what}` };
  },
  function headerEntries(wreck) {
    const [file, bytes] = pickTensors(wreck);
    const header = parse(bytes.subarray(8, headerEnd(bytes)));
    const name = wreck.pick(Object.keys(header));
    const what = wreck.pick(["removed", "replaced", "added", "twice", "__proto__", "metadata"]);
    if (what === "removed") delete header[name];
    if (what === "replaced") header[name] = wreck.pick(wrongValues);
    if (what === "added")
      header.more = { dtype: "U8", shape: [4], data_offsets: [bytes.length, bytes.length + 4] };
    if (what === "metadata") header[metadataKey] = wreck.pick([...wrongValues, { a: 1 }, { a: null }]);
    let text = JSON.stringify(header);
    if (what === "twice")
      text = `${text.slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(header[name])}}`;
    if (what === "__proto__") text = `{"__proto__":${JSON.stringify(header[name])},${text.slice(1)}`;
    wreck.files.set(file, withHeader(bytes, text));
    return { what: `${file}: header: ${name}: ${what}` };
  },
  function jsonValues({ files, pick }) {
    const file = pick([...files.keys()].filter((name) => name.endsWith(".json")));
    const json = parse(files.get(file)!);
    // One key of the file, or of one object in it.
    const key = pick(Object.keys(json));
    const inner = json[key];
    const deep =
      typeof inner === "object" && inner !== null && !Array.isArray(inner) && pick([true, true, false]);
    const owner = deep ? (inner as Json) : json;
    const name = deep ? pick(Object.keys(owner)) : key;
    const value = pick([undefined, ...wrongValues, ...Object.values(owner)]);
    owner[name] = value;
    files.set(file, utf8.encode(JSON.stringify(json)));
    return { what: `${file}: ${name} became ${JSON.stringify(value)?.slice(0, 60)}` };
  },
  function jsonText({ files, pick }) {
    const file = pick([...files.keys()].filter((name) => name.endsWith(".json")));
    const text = new TextDecoder().decode(files.get(file)!).trim();
    const key = JSON.stringify(pick(Object.keys(parse(files.get(file)!))));
    const broken = pick([
      `{"__proto__":{"polluted":true},${text.slice(1)}`,
      `{${key}:1,${text.slice(1)}`,
      `\ufeff${text}`,
      `[${text}]`,
      `${text}${text}`,
      `${"[".repeat(50_000)}${text}`,
      text.replace(":", ":NaN,"),
      "null",
      "",
    ]);
    files.set(file, utf8.encode(broken));
    return { what: `${file}: the text became ${broken.slice(0, 40)}` };
  },
  function badNumbers(wreck) {
    const [file, bytes] = pickTensors(wreck);
    const data = headerEnd(bytes);
    const words = Math.floor((bytes.length - data) / 4);
    const value = wreck.pick([NaN, Infinity, -Infinity, 3.4e38]);
    new DataView(bytes.buffer).setFloat32(data + 4 * wreck.below(Math.max(1, words)), value, true);
    return { what: `${file}: ${value} in the data`, dataChanged: true };
  },
];

/** Names of the kinds of damage; seed `n` does kind `n % damageKinds.length`. */
export const damageKinds: readonly string[] = damages.map((damage) => damage.name);

/**
 * A broken copy of a checkpoint: the same seed gives the same damage, and seeds in a row go through all kinds.
 *
 * @param files a valid checkpoint with config.json and at least one .safetensors file of 4 bytes of data or more
 */
export function breakCheckpoint(files: CheckpointBytes, seed: number): BrokenCheckpoint {
  const stream = randomStream({ seed, path: "fuzz-checkpoint" });
  let drawn = 0;
  const below = (end: number): number => Math.floor(stream.uniform(drawn++) * end);
  const wreck: Wreck = {
    files: new Map([...files].map(([name, bytes]) => [name, new Uint8Array(bytes)])),
    below,
    pick: (from) => from[below(from.length)]!,
  };
  const kind = seed % damages.length;
  const { what, dataChanged = false } = damages[kind]!(wreck);
  return { files: wreck.files, damage: `seed ${seed}: ${damageKinds[kind]}: ${what}`, dataChanged };
}
