import { describe, expect, it } from "vitest";
import { HeddleError } from "./errors.ts";
import { defineOperation, kernel } from "./operation.ts";
import { createRegistry, definePlugin } from "./registry.ts";
import type { AnyKernel, Kernel } from "./kernel.ts";
import type { Plugin } from "./registry.ts";

interface Call {
  readonly x: never;
}
const twice = defineOperation<Call>({
  name: "registry.twice",
  tensors: [],
  validate: () => undefined,
  forward: ({ x }) => ({ output: x }),
});
const definition: Omit<Kernel<Call>, "operation"> = {
  name: "twice.f32.loop",
  backend: "wasm",
  unsupported: () => [],
  forward: ({ x }) => ({ output: x }),
};
const one: AnyKernel = kernel(twice, definition);
const plugin = (name: string, more: object = {}): Plugin => definePlugin({ name, ...more });

describe("kernel", () => {
  it.each<[object, string]>([
    [{ name: "" }, 'kernel of registry.twice: name must be a non-empty string, got ""'],
    [
      { backend: undefined },
      'kernel twice.f32.loop: backend must be the name of a backend, or "any", got undefined',
    ],
    [{ unsupported: [] }, "kernel twice.f32.loop: unsupported must be a function, got []"],
    [{ forward: undefined }, "kernel twice.f32.loop: forward must be a function, got undefined"],
    [{ gradient: {} }, "kernel twice.f32.loop: gradient must be a function, got {}"],
    [{ needs: "x" }, 'kernel twice.f32.loop: needs must be a list of inputs, got "x"'],
  ])("refuses %j, which would never run or fail while it does", (part, message) => {
    const wrong = (): unknown => kernel(twice, { ...definition, ...part } as typeof definition);
    expect(wrong).toThrow(HeddleError);
    expect(wrong).toThrow(message);
  });
});

describe("createRegistry", () => {
  it("holds the kernels of every plugin, in order", () => {
    const other = kernel(twice, { ...definition, name: "twice.f32.simd" });
    const registry = createRegistry(
      plugin("a", { kernels: [one] }),
      plugin("b"),
      plugin("c", { kernels: [other] }),
    );
    expect(registry.kernels).toEqual([one, other]);
  });

  it.each<[readonly Plugin[], string]>([
    [
      [plugin("a", { kernels: [one] }), plugin("b", { kernels: [{ ...one }] })],
      'createRegistry: kernel "twice.f32.loop" of registry.twice must come from one plugin, got a and b',
    ],
    [[plugin("a", { kernels: one })], "createRegistry: a: kernels must be a list of kernels, got {"],
    [
      [plugin("a", { kernels: [{ name: "x" }] })],
      "createRegistry: a: kernels[0] must be made by kernel(…), got {",
    ],
    [[plugin("a", { patterns: null })], "createRegistry: a: patterns must be functions by name, got null"],
    [
      [undefined as never],
      "createRegistry: plugins[0] must be a plugin, made by definePlugin, got undefined",
    ],
    [[{} as Plugin], "createRegistry: plugins[0] must be a plugin, made by definePlugin, got {}"],
  ])("%#: refuses what would go unused", (plugins, message) => {
    const attempt = (): unknown => createRegistry(...plugins);
    expect(attempt).toThrow(HeddleError);
    expect(attempt).toThrow(message);
  });
});
