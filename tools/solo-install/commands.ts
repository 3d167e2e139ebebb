import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A Node to test under. */
export interface NodeBinary {
  readonly path: string;
  /** Such as "v20.20.2". */
  readonly version: string;
}

/** The Node that runs this, and the first other one in PATH that npm did not put there. */
export function findNodes(): NodeBinary[] {
  const isNpmFolder = (folder: string): boolean => /node_modules[\\/]\.bin$|node-gyp-bin$/.test(folder);
  const system = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "" && !isNpmFolder(folder))
    .map((folder) => join(folder, process.platform === "win32" ? "node.exe" : "node"))
    .find((path) => existsSync(path));
  const byVersion = new Map<string, NodeBinary>();
  for (const path of [system, process.execPath]) {
    if (path === undefined) continue;
    const version = execFileSync(path, ["--version"], { encoding: "utf8" }).trim();
    if (!byVersion.has(version)) byVersion.set(version, { path, version });
  }
  return [...byVersion.values()];
}

/** The environment without what npm tells a script about the package that it belongs to. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([key]) => !/^npm_(package|lifecycle|config_local_prefix)/.test(key)),
);

/** A program that failed. The message holds the command and all that it wrote. */
export class CommandError extends Error {
  readonly output: string;
  constructor(command: string, why: string, output: string) {
    super(`${command}: ${why}\n${output}`);
    this.output = output;
  }
}

/**
 * Runs a program and resolves to what it wrote to stdout.
 * @throws CommandError when it fails or takes over five minutes.
 */
export function execute(program: string, args: readonly string[], folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd: folder, env: environment, timeout: 300_000, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const why = error.killed ? "killed after 5 minutes" : `exit code ${error.code}`;
      reject(new CommandError([program, ...args].join(" "), why, stdout + stderr));
    }).stdin?.end();
  });
}
