/** What tfjs's loader (Emscripten) prints when it fails; the rejection that follows does not say why. */
const LOADER_NOISE =
  /^(?:failed to asynchronously prepare wasm|Aborted\(|wasm streaming compile failed|falling back to ArrayBuffer)/;

const EVENTS = ["uncaughtException", "unhandledRejection"] as const;

type Listener = (...values: unknown[]) => void;

/** The part of Node's `process` used here. */
interface Process {
  listeners(event: string): Listener[];
  removeListener(event: string, listener: Listener): void;
}

/**
 * Runs tfjs's loader without its side effects: what it prints becomes the message of the error, and the listeners
 * that it hangs on Node's process, which turn every later rejection into a dump of its source, are taken off.
 */
export async function loadQuietly<T>(load: () => Promise<T>): Promise<T> {
  const { process } = globalThis as { process?: Partial<Process> };
  const before = EVENTS.map((event) => process?.listeners?.(event) ?? []);
  const heard: string[] = [];
  const { warn } = console;
  let loading = true;
  const listen: typeof warn = (...words) => {
    const text = words.map(String).join(" ");
    if (loading && LOADER_NOISE.test(text)) heard.push(text);
    else warn.apply(console, words);
  };
  console.warn = listen;
  try {
    return await load();
  } catch (error) {
    const said = error instanceof Error ? error.message : undefined;
    throw new Error(heard[0] ?? said ?? "tfjs's loader failed without a reason", { cause: error });
  } finally {
    loading = false;
    if (console.warn === listen) console.warn = warn;
    EVENTS.forEach((event, i) => {
      for (const listener of process?.listeners?.(event) ?? [])
        if (!before[i]!.includes(listener)) process?.removeListener?.(event, listener);
    });
  }
}
