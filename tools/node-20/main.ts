// Runs the tests of the WASM kernels and the models' goldens under the oldest Node that Heddle supports, the first Node
// 20 in PATH. Arguments go to vitest.
import { spawnSync } from "node:child_process";
import { findNodes } from "../solo-install/commands.ts";

const tests = ["packages/backend-wasm", "packages/models/src/goldens.test.ts"];

const node = findNodes().find(({ version }) => version.startsWith("v20."));
if (!node) throw new Error("test:node-20: PATH must have a Node 20, got none");
console.log(`Node ${node.version}`);
const vitest = ["--import", "./tools/node-20/preload.mjs", "node_modules/vitest/vitest.mjs"];
const run = ["run", "--project", "node", ...tests, ...process.argv.slice(2)];
const { status } = spawnSync(node.path, [...vitest, ...run], { stdio: "inherit" });
process.exitCode = status ?? 1;
