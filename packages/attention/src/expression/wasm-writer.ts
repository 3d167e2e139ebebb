/** WebAssembly binaries, written by hand: bytes, function bodies and modules. */

/** Value types. */
export const wasmType = { i32: 0x7f, i64: 0x7e, f32: 0x7d } as const;
/** One of the value types. */
export type WasmType = (typeof wasmType)[keyof typeof wasmType];

/** The instructions that the emitters use. */
export const op = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  call: 0x10,
  select: 0x1b,
  i32Load: 0x28,
  f32Load: 0x2a,
  i32Load8U: 0x2d,
  i64Store: 0x37,
  f32Store: 0x38,
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32LeS: 0x4c,
  i32GeS: 0x4e,
  f32Ne: 0x5c,
  f32Lt: 0x5d,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32DivS: 0x6d,
  i32RemS: 0x6f,
  i32And: 0x71,
  i32Or: 0x72,
  i32Shl: 0x74,
  i32ShrS: 0x75,
  i64Popcnt: 0x7b,
  i64Or: 0x84,
  i64Shl: 0x86,
  f32Abs: 0x8b,
  f32Neg: 0x8c,
  f32Nearest: 0x90,
  f32Add: 0x92,
  f32Sub: 0x93,
  f32Mul: 0x94,
  f32Div: 0x95,
  f32Min: 0x96,
  f32Max: 0x97,
  f32Copysign: 0x98,
  i32WrapI64: 0xa7,
  i64ExtendI32U: 0xad,
  f32ConvertI32S: 0xb2,
  f32ReinterpretI32: 0xbe,
} as const;

const noResult = 0x40;

/** An unsigned LEB128 number. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const next = rest >>> 7;
    bytes.push((rest & 0x7f) | (next ? 0x80 : 0));
    rest = next;
  } while (rest);
  return bytes;
}

/** A signed LEB128 number of 32 bits. */
function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && !(byte & 0x40)) || (rest === -1 && (byte & 0x40) !== 0);
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}

/** The body of one function. Parameters are its first locals. */
export class FunctionWriter {
  readonly params: readonly WasmType[];
  readonly results: readonly WasmType[];
  readonly #locals: WasmType[] = [];
  readonly #code: number[] = [];

  constructor(params: readonly WasmType[], results: readonly WasmType[] = []) {
    this.params = params;
    this.results = results;
  }

  /** A new local of a type; its index. */
  local(type: WasmType): number {
    return this.params.length + this.#locals.push(type) - 1;
  }
  emit(...instructions: readonly number[]): this {
    for (const byte of instructions) this.#code.push(byte);
    return this;
  }
  get(local: number): this {
    return this.emit(0x20, ...unsigned(local));
  }
  set(local: number): this {
    return this.emit(0x21, ...unsigned(local));
  }
  tee(local: number): this {
    return this.emit(0x22, ...unsigned(local));
  }
  i32(value: number): this {
    return this.emit(0x41, ...signed(value));
  }
  i64(value: number): this {
    return this.emit(0x42, ...signed(value));
  }
  f32(value: number): this {
    return this.emit(0x43, ...new Uint8Array(new Float32Array([value]).buffer));
  }
  /** A load or store at a constant offset from the address on the stack; `align` is its power of two. */
  memory(instruction: number, align: number, offset = 0): this {
    return this.emit(instruction, ...unsigned(align), ...unsigned(offset));
  }
  call(index: number): this {
    return this.emit(op.call, ...unsigned(index));
  }
  /** float32 to int32, saturating: 0 for NaN. */
  truncate(): this {
    return this.emit(0xfc, 0x00);
  }
  /** `local += value` */
  advance(local: number, value: number): this {
    return this.get(local).i32(value).emit(op.i32Add).set(local);
  }
  /** Runs `body` while `counter < limit` (both i32 locals); the body must advance the counter. */
  while(counter: number, limit: number, body: () => void): this {
    this.emit(op.block, noResult, op.loop, noResult);
    this.get(counter).get(limit).emit(op.i32GeS, op.brIf, 1);
    body();
    return this.emit(op.br, 0, op.end, op.end);
  }

  /** Runs `body` when the i32 on the stack is not 0. */
  if(body: () => void): this {
    this.emit(op.if, noResult);
    body();
    return this.emit(op.end);
  }

  /** The encoded body with its locals. */
  bytes(): number[] {
    const locals = this.#locals.flatMap((type) => [1, type]);
    const body = [...unsigned(this.#locals.length), ...locals];
    for (const byte of this.#code) body.push(byte);
    body.push(op.end);
    return body;
  }
}

/** What a module is made of. */
export interface ModuleParts {
  /** In order of their indices. */
  readonly functions: readonly FunctionWriter[];
  readonly exports: Readonly<Record<string, number>>;
  /** Whether the imported `env.memory` is a shared one. @default false */
  readonly sharedMemory?: boolean;
}

/** A module that imports `env.memory` and nothing else. */
export function encodeModule({
  functions,
  exports,
  sharedMemory = false,
}: ModuleParts): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const name = (text: string) => [...unsigned(text.length), ...new TextEncoder().encode(text)];
  const section = (id: number, items: readonly (readonly number[])[]) => {
    const content = unsigned(items.length);
    for (const item of items) for (const byte of item) content.push(byte);
    bytes.push(id, ...unsigned(content.length));
    for (const byte of content) bytes.push(byte);
  };
  section(
    1,
    functions.map(({ params, results }) => [
      0x60,
      ...unsigned(params.length),
      ...params,
      results.length,
      ...results,
    ]),
  );
  const limits = sharedMemory ? [0x03, 0, ...unsigned(65536)] : [0x00, 0];
  section(2, [[...name("env"), ...name("memory"), 0x02, ...limits]]);
  section(
    3,
    functions.map((_, at) => unsigned(at)),
  );
  section(
    7,
    Object.entries(exports).map(([text, index]) => [...name(text), 0x00, ...unsigned(index)]),
  );
  section(
    10,
    functions.map((body) => {
      const code = body.bytes();
      return [...unsigned(code.length), ...code];
    }),
  );
  return new Uint8Array(bytes);
}
