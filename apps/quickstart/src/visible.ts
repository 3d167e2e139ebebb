/** A model of bytes may write any of them, and a terminal obeys some: those are shown as `\x1b`, all but the end of a line. */
export function visible(text: string): string {
  return text.replaceAll(
    /(?!\n)\p{Cc}/gu,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
