// oxlint-disable-next-line import/default -- Vite makes it
import worker from "@heddle/backend-wasm/worker?worker&url";
import wasm from "@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm-simd.wasm?url";
import { show } from "./page.js";

show({
  wasm,
  workerFile: worker,
  startWorker: () => new Worker(new URL("./in-worker.js", import.meta.url), { type: "module" }),
});
