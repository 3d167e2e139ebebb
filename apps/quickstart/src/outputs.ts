/** Where the quickstart writes to, tried before minutes are spent on training. */
import { access, constants, mkdir, open, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { HeddleError } from "@heddle/core";

async function tried(flag: string, kind: string, path: string, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HeddleError(
      "io",
      `quickstart: --${flag} must be a ${kind} that can be written to, got ${JSON.stringify(path)} (${reason})`,
      { cause },
    );
  }
}

/** Makes a folder and those above it. Node's own recursion never ends where nothing can be made, in /proc for example. */
async function makeFolder(path: string): Promise<void> {
  if ((await stat(path).catch(() => undefined))?.isDirectory()) return;
  if (dirname(path) !== path) await makeFolder(dirname(path));
  await mkdir(path);
}

/**
 * Makes the folders of the outputs and the file of the results.
 * @throws HeddleError `io` that names the flag.
 */
export async function checkOutputs({
  out,
  json,
}: {
  readonly out: string;
  readonly json?: string;
}): Promise<void> {
  await tried("out", "folder", out, async () => {
    await makeFolder(out);
    await access(out, constants.W_OK);
  });
  if (json === undefined) return;
  await tried("json", "file", json, async () => {
    await makeFolder(dirname(json));
    await (await open(json, "a")).close();
  });
}

/** @throws HeddleError `io` for a full disk, or a file that is gone. */
export async function writeOutput(json: string, result: unknown): Promise<void> {
  await tried("json", "file", json, () => writeFile(json, `${JSON.stringify(result, null, 2)}\n`));
}
