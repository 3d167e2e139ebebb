import { describe, expect, it } from "vitest";
import { faultsOf } from "./check-module.ts";
import { compile, variants } from "./compile.ts";

const [plain] = variants as [(typeof variants)[number]];
const exported = (code: string): Record<string, string> => ({
  "kernels.c": code.replaceAll("EXPORT", '__attribute__((export_name("f")))'),
});

describe("wasm-kernels", () => {
  it("compiles without a fault what has neither data nor stack", async () => {
    const binary = await compile(exported("EXPORT int f(int x) { return x + 1; }"), plain);
    expect(faultsOf(binary)).toEqual([]);
    const table = new WebAssembly.Table({ element: "anyfunc", initial: 1 });
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 ** 16 });
    const { instance } = await WebAssembly.instantiate(binary, {
      env: { memory, __indirect_function_table: table },
    });
    expect((instance.exports["f"] as (x: number) => number)(41)).toBe(42);
  });

  it("finds static data", async () => {
    const code = "static const float t[4] = {1, 2, 3, 5}; EXPORT float f(int i) { return t[i & 3]; }";
    expect(faultsOf(await compile(exported(code), plain))).toEqual([
      "has static data (a table, a string, a constant array)",
    ]);
  });

  it("refuses a stack, and what does not compile, with clang's words", async () => {
    const code = "EXPORT int f(int i) { volatile int a[8]; a[i & 7] = i; return a[1]; }";
    await expect(compile(exported(code), plain)).rejects.toThrow(/kernels, simd: .*stack frame size/s);
    await expect(compile(exported("EXPORT int f(int i) { return j; }"), plain)).rejects.toThrow(
      /undeclared identifier 'j'/,
    );
  });
});
