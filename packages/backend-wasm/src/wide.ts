/**
 * 256-bit code from 128-bit SIMD: V8 can join neighbouring vectors into one twice as wide. The flag is off by default
 * and Node can set it; code that is compiled while it is set keeps its form afterwards, and other modules are untouched.
 */

import { builtin } from "./builtin.ts";

const FLAG = "experimental-wasm-revectorize";

/** A custom section: V8 keeps one compilation for equal bytes, and this one is to be made apart. */
const APART = Uint8Array.of(0, 5, 4, ...new TextEncoder().encode("wide"));

/**
 * Compiles a module while the flag is set, and runs `warm` on it until V8 has made its final code.
 * @throws Error The reason when the engine cannot do it.
 */
export function widened<T>(
  binary: Uint8Array<ArrayBuffer>,
  imports: WebAssembly.Imports,
  warm: (exports: WebAssembly.Exports, module: WebAssembly.Module) => T,
): T {
  const { process } = globalThis as { process?: { readonly versions?: { readonly v8?: string } } };
  const v8 = builtin("node:v8");
  if (!v8) throw new Error("only Node lets a program set V8's flags");
  // An engine that does not know a flag prints so, whatever one does.
  if (!(parseInt(process?.versions?.v8 ?? "0", 10) >= 13)) throw new Error("Node 24 is the first that can");
  const bytes = new Uint8Array(binary.length + APART.length);
  bytes.set(binary);
  bytes.set(APART, binary.length);
  v8.setFlagsFromString(`--${FLAG}`);
  try {
    const module = new WebAssembly.Module(bytes);
    return warm(new WebAssembly.Instance(module, imports).exports, module);
  } finally {
    v8.setFlagsFromString(`--no-${FLAG}`);
  }
}
