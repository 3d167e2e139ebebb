import { unpack } from "./unpack.ts";

/** Unpacks the software driver before the test processes want it; where that fails, they say why. */
export default function setup(): void {
  try {
    unpack("swiftshader", ["swiftshader.tar.br"]);
  } catch (error) {
    console.warn(`software-gpu: ${error instanceof Error ? error.message : String(error)}`);
  }
}
