/**
 * Lets timers, input and signals have their turn: on one thread a long computation would hold them up. By a message,
 * since pages delay timers, in a tab behind others by a second.
 */
export function breathe(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.addEventListener("message", () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(null);
  });
}
