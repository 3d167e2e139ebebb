const SECTIONS = { memory: 5, element: 9, data: 11 } as const;

/** An unsigned LEB128 number at `at`, and where the next byte is. */
function unsigned(bytes: Uint8Array, at: number): readonly [value: number, next: number] {
  let [value, shift, next] = [0, 0, at];
  for (;;) {
    const byte = bytes[next++]!;
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte < 0x80) return [value, next];
  }
}

/** Numbers of the sections of a module. */
function sectionsOf(bytes: Uint8Array): Set<number> {
  const found = new Set<number>();
  for (let at = 8; at < bytes.length;) {
    const [size, body] = unsigned(bytes, at + 1);
    found.add(bytes[at]!);
    at = body + size;
  }
  return found;
}

/**
 * Why a module may not share a memory with tfjs: low addresses are tfjs's data, and the linker would put static data
 * there. (The stack, which it would put there too, is refused by the compiler.)
 */
export function faultsOf(bytes: Uint8Array): string[] {
  const sections = sectionsOf(bytes);
  return [
    ...(sections.has(SECTIONS.data) ? ["has static data (a table, a string, a constant array)"] : []),
    ...(sections.has(SECTIONS.memory) ? ["has a memory of its own"] : []),
    ...(sections.has(SECTIONS.element) ? ["has a function table"] : []),
  ];
}
