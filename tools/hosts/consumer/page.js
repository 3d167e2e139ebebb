/**
 * A page runs the program as its address asks and shows the result: `?file` for the worker's file, `?worker` in a
 * worker, `?webgpu` on WebGPU.
 */
import { run } from "./program.js";

export async function show({ wasm, workerFile, startWorker }) {
  const asked = new URLSearchParams(location.search);
  const options = asked.has("webgpu")
    ? null
    : { wasm, threads: 2, ...(asked.has("file") && { worker: workerFile }) };
  let result;
  try {
    result = await (asked.has("worker") ? inWorker(startWorker(), options) : run(options));
  } catch (error) {
    result = { error: String(error) };
  }
  const element = document.createElement("pre");
  element.textContent = JSON.stringify(result);
  document.body.append(element);
}

function inWorker(worker, options) {
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => resolve(data));
    worker.addEventListener("error", ({ message }) => reject(new Error(`worker: ${message}`)));
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none
    worker.postMessage(options);
  });
}
