import { run } from "./program.js";

onmessage = async ({ data }) => {
  try {
    postMessage(await run(data));
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
