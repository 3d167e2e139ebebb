/** A headless Chromium with WebGPU on software, from npm, as vitest's browser project launches it. */
import { join } from "node:path";
import { cacheFolder, unpack } from "./unpack.ts";

const PART = "chromium";
const ARCHIVES = ["chromium.br", "swiftshader.tar.br", "al2023.tar.br"];

/** Unpacks it: 250 MB and some 4 s, once. Vitest calls this before it launches the browser. */
export default function setup(): void {
  unpack(PART, ARCHIVES);
}

/** What Playwright needs to launch it; cheap, nothing is unpacked. */
export function chromiumLaunch(): { executablePath: string; args: string[]; env: Record<string, string> } {
  const folder = cacheFolder(PART);
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  const libraries = [join(folder, "lib"), process.env["LD_LIBRARY_PATH"]];
  return {
    executablePath: join(folder, "chromium"),
    args: [
      "--no-sandbox",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-quic",
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      // As in Node, where node.ts says why.
      "--enable-dawn-features=disable_workgroup_init",
    ],
    env: {
      ...Object.fromEntries(inherited),
      LD_LIBRARY_PATH: libraries.filter(Boolean).join(":"),
    },
  };
}
