/** Node, or with `worker` a thread of it: `node node.js '{"threads":2}' [worker]`. */
import { Worker, isMainThread } from "node:worker_threads";
import { run } from "./program.js";

if (isMainThread && process.argv[3] === "worker")
  void new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
else console.log(JSON.stringify(await run(JSON.parse(process.argv[2]))));
