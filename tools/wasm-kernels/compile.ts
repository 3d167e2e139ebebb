import { commands, runLLVM } from "@yowasp/clang";

/** One way to compile the kernels. */
export interface Variant {
  readonly name: string;
  readonly flags: readonly string[];
}

/** By the instructions that an engine must know. */
export const variants: readonly Variant[] = [
  { name: "simd", flags: ["-msimd128"] },
  { name: "relaxed-simd", flags: ["-msimd128", "-mrelaxed-simd", "-DRELAXED"] },
];

const flags = [
  "--target=wasm32-unknown-unknown",
  "-std=c17",
  "-nostdlib",
  "-ffreestanding",
  "-O3",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-Wno-unused-parameter",
  // No stack: the linker would put it at low addresses, which are tfjs's data.
  "-Wframe-larger-than=0",
  // Loop strength reduction turns the accumulators' addresses into so many variables that V8 spills.
  "-mllvm",
  "-disable-lsr",
  // Without it LLVM takes it that nothing else writes to memory, and may write back what it did not change.
  "-matomics",
  "-Wl,--no-entry",
  "-Wl,--import-memory",
  // A maximum, since a shared memory has one: the package sets the bit that says shared.
  "-Wl,--max-memory=4294967296",
  // Emitted modules are called through it.
  "-Wl,--import-table",
  "-Wl,--strip-all",
];

/** Compiles `kernels.c` of the sources, by name. Throws what clang printed when it fails. */
export async function compile(
  sources: Readonly<Record<string, string>>,
  variant: Variant,
): Promise<Uint8Array<ArrayBuffer>> {
  let printed = "";
  const print = (bytes: Uint8Array | null): void => {
    if (bytes) printed += new TextDecoder().decode(bytes);
  };
  // Loads the compiler; without this the next call prints how far it is.
  await runLLVM(undefined, {}, { fetchProgress: () => undefined });
  const options = { stdout: print, stderr: print };
  const command = [...flags, ...variant.flags, "-o", "kernels.wasm", "kernels.c"];
  // Its error says only that it exited; why, it has printed.
  const made = await Promise.resolve(commands.clang(command, { ...sources }, options)).catch(() => undefined);
  const binary = made?.["kernels.wasm"];
  if (!(binary instanceof Uint8Array)) throw new Error(`kernels, ${variant.name}: ${printed}`);
  return new Uint8Array(binary);
}
