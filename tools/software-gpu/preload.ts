/** `node --import` this to give a program WebGPU in Node: see ensureSoftwareGpu. */
import { ensureSoftwareGpu } from "./node.ts";

await ensureSoftwareGpu({ keepInstalled: true });
