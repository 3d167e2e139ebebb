/** Which of our binaries the engine can run. */

/** `relaxed` has fused multiply-add: 40 % more in matrix products. */
export type InstructionSet = "plain" | "relaxed";

/**
 * Modules with one function, in hexadecimal: its type, the function, and its code, which for `relaxed` is
 * `i32.const 2; i8x16.splat; i32.const 2; i8x16.splat; i8x16.relaxed_swizzle; drop`, and for `plain` has one splat.
 */
const PROBES: Readonly<Record<InstructionSet, string>> = {
  relaxed: "0061736d01000000 010401600000 03020100 0a10010e00 4102fd0f4102fd0ffd80021a0b",
  plain: "0061736d01000000 010401600000 03020100 0a09010700 4102fd0f1a0b",
};

function validates(probe: string): boolean {
  const bytes = probe.match(/\w\w/g)!.map((byte) => parseInt(byte, 16));
  return WebAssembly.validate(Uint8Array.from(bytes));
}

/** The best that the engine validates; undefined without SIMD. */
export function supportedInstructions(): InstructionSet | undefined {
  return (["relaxed", "plain"] as const).find((instructions) => validates(PROBES[instructions]));
}

/** The kernels compiled for an instruction set; each is a module of its own, so that only one is loaded. */
export async function kernelBinary(instructions: InstructionSet): Promise<Uint8Array<ArrayBuffer>> {
  const { binary } =
    instructions === "relaxed"
      ? await import("./generated/relaxed-simd.ts")
      : await import("./generated/simd.ts");
  return Uint8Array.from(atob(binary), (byte) => byte.charCodeAt(0));
}
