import { describe, expect, it } from "vitest";
import { withSharedMemory } from "./shared-memory.ts";

const magic = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
/** A name of one letter. */
const name = (letter: string): number[] => [1, letter.charCodeAt(0)];
const bytes = (...sections: number[][]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([...magic, ...sections.flatMap(([id, ...body]) => [id!, body.length, ...body])]);

/** Imports of each kind before that of a memory, and one type for the function. */
const types = [1, 1, 0x60, 0, 0];
const others = [
  [...name("m"), ...name("f"), 0, 0],
  [...name("m"), ...name("t"), 1, 0x70, 1, 1, 200, 1],
  [...name("m"), ...name("g"), 3, 0x7f, 0],
].flat();
const importing = (flags: number, ...limits: number[]): Uint8Array<ArrayBuffer> =>
  bytes(types, [2, 4, ...others, ...name("m"), ...name("s"), 2, flags, ...limits]);

const given = (memory: WebAssembly.Memory): WebAssembly.Imports => ({
  m: {
    f: () => undefined,
    t: new WebAssembly.Table({ element: "anyfunc", initial: 1, maximum: 200 }),
    g: 7,
    s: memory,
  },
});

describe("withSharedMemory", () => {
  it("makes an imported memory shared, behind imports of every kind", () => {
    const module = importing(1, 1, 128, 128, 4);
    const shared = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    const plain = new WebAssembly.Memory({ initial: 1, maximum: 65536 });
    const start = (binary: Uint8Array<ArrayBuffer>, memory: WebAssembly.Memory) => () =>
      new WebAssembly.Instance(new WebAssembly.Module(binary), given(memory));
    expect(start(module, plain)).not.toThrow();
    expect(start(module, shared)).toThrow(WebAssembly.LinkError);
    const made = withSharedMemory(module);
    expect(start(made, shared)).not.toThrow();
    expect(start(made, plain)).toThrow(WebAssembly.LinkError);
    expect(made.filter((byte, i) => byte !== module[i])).toHaveLength(1);
  });

  it("makes a memory of its own shared", () => {
    const module = bytes([5, 1, 1, 2, 3], [7, 1, ...name("s"), 2, 0]);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(withSharedMemory(module)));
    expect((exports["s"] as WebAssembly.Memory).buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  it.each([
    ["no maximum", importing(0, 1)],
    ["a shared one", importing(3, 1, 2)],
    ["none", bytes(types)],
    ["two", bytes([5, 2, 1, 1, 1, 1, 1, 1])],
    ["an import of a later kind before it", bytes(types, [2, 1, ...name("m"), ...name("x"), 4, 0, 0])],
    ["no sections", Uint8Array.from(magic)],
    ["no end", Uint8Array.from([...magic, 5, 200])],
  ])("refuses a module with %s", (_, module) => {
    expect(() => withSharedMemory(module)).toThrow(
      "the module has no memory with a maximum, which could be shared",
    );
  });
});
