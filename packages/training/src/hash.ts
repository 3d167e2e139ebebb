/** 32-bit FNV-1a over integers, as eight hexadecimal digits: tells texts apart, protects nothing. */
export function hashIntegers(values: Int32Array): string {
  let hash = 0x811c9dc5;
  for (const value of values) hash = Math.imul(hash ^ value, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
