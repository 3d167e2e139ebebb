import { show } from "./page.js";

show({
  wasm: new URL("@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm", import.meta.url).href,
  workerFile: () => new Worker(new URL("@heddle/backend-wasm/worker", import.meta.url)),
  startWorker: () => new Worker(new URL("./in-worker.js", import.meta.url)),
});
