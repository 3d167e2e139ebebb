import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandError, execute } from "./commands.ts";

export interface ModuleOptions {
  readonly module: "nodenext" | "esnext";
  readonly moduleResolution: "nodenext" | "bundler";
}

/**
 * Type-checks index.mts of a consumer's folder with skipLibCheck off.
 * @throws Error with the errors in index.mts and in our declarations.
 */
export async function typeCheck(root: string, folder: string, options: ModuleOptions): Promise<void> {
  const environment = { target: "es2022", lib: ["es2023", "dom", "dom.iterable"], types: [] };
  const compilerOptions = { ...options, ...environment, strict: true, noEmit: true, skipLibCheck: false };
  const config = join(folder, `tsconfig.${options.moduleResolution}.json`);
  writeFileSync(config, JSON.stringify({ compilerOptions, files: ["index.mts"] }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  try {
    await execute(process.execPath, [tsc, "-p", config, "--pretty", "false"], folder);
  } catch (error) {
    const errors = error instanceof CommandError ? ownTypeErrors(error.output) : [String(error)];
    if (errors.length > 0) throw new Error(errors.join("\n"), { cause: error });
  }
}

/**
 * The errors of tsc's output that do not lie in another publisher's declarations: those of tfjs-core 4.22 miss
 * `Long` and redeclare the WebGPU types that TypeScript 6 brings, whoever imports them.
 */
export function ownTypeErrors(output: string): string[] {
  const errors = output.split(/\r?\n(?!\s)/).filter((error) => /\berror TS\d+:/.test(error));
  if (errors.length === 0) return [output];
  return errors.filter((error) => !/^[^(]*node_modules\/(?!@heddle\/)/.test(error));
}
