/** The pages of `consumer/`, as each way to make a page serves them. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { build, createServer } from "vite";
import webpack from "webpack";
import { serve } from "./serve.ts";
import type { Server } from "./serve.ts";

type Headers = Readonly<Record<string, string>>;

/** A page that can be served with any headers; without settings of bundlers that a user would not need. */
export interface Site {
  readonly path: string;
  /** Once, before it is served. */
  build?(folder: string): Promise<void>;
  serve(folder: string, headers: Headers): Promise<Server>;
}

const vite = (folder: string) => ({ root: folder, configFile: false, logLevel: "warn" }) as const;

function pack(folder: string): Promise<void> {
  const output = { path: join(folder, "dist-webpack"), filename: "main.js" };
  return new Promise((resolve, reject) => {
    webpack({ mode: "production", context: folder, entry: "./webpack.js", output }, (error, stats) => {
      const failed = error ?? (stats?.hasErrors() ? new Error(stats.toString("errors-only")) : undefined);
      if (failed) reject(failed);
      else resolve();
    });
  });
}

export const sites = {
  "Vite's build": {
    path: "/",
    async build(folder) {
      await build({ ...vite(folder), build: { outDir: "dist-vite" } });
    },
    serve: (folder, headers) => serve(join(folder, "dist-vite"), headers),
  },
  "Vite's dev server": {
    path: "/",
    async serve(folder, headers) {
      const server = await createServer({ ...vite(folder), server: { host: "127.0.0.1", headers } });
      await server.listen();
      return { origin: new URL(server.resolvedUrls!.local[0]!).origin, close: () => server.close() };
    },
  },
  webpack: {
    path: "/",
    async build(folder) {
      await pack(folder);
      cpSync(join(folder, "webpack.html"), join(folder, "dist-webpack/index.html"));
    },
    serve: (folder, headers) => serve(join(folder, "dist-webpack"), headers),
  },
  "a page without a bundler": { path: "/plain.html", serve },
} as const satisfies Record<string, Site>;

export type SiteName = keyof typeof sites;
