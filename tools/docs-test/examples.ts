/** The code blocks of one section of a Markdown file that are marked as runnable, as one module. */
export interface Example {
  /** Heading of the section, "" before the first one. */
  readonly heading: string;
  /** Line in the Markdown file of the first block, from 1. */
  readonly line: number;
  /** TypeScript on the same lines as in the Markdown file, so that an error points there. */
  readonly code: string;
}

/** What a Markdown file asks to be run. */
export interface Documentation {
  readonly examples: readonly Example[];
  /** Lines of TypeScript blocks that are not marked `run`. */
  readonly unmarked: readonly number[];
  /** What the `npm i …` and `npm install …` lines of its sh blocks name. */
  readonly installs: readonly string[];
}

/**
 * Reads a Markdown file. A block fenced as ```` ```ts run ```` is run; the blocks of one section, up to the next
 * heading of any level, are one module, in order, so that a later one may use what an earlier one defines.
 */
export function readDocumentation(markdown: string): Documentation {
  const lines = markdown.split(/\r?\n/);
  const examples: { heading: string; line: number; code: string[] }[] = [];
  const unmarked: number[] = [];
  const installs: string[] = [];
  let section: { heading: string; line: number; code: string[] } | undefined;
  let heading = "";
  let fence: { readonly mark: string; readonly language: string; readonly run: boolean } | undefined;
  for (const [index, text] of lines.entries()) {
    const line = index + 1;
    const [, mark, info = ""] = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/.exec(text) ?? [];
    if (fence) {
      if (mark?.startsWith(fence.mark) && info === "") fence = undefined;
      else if (fence.run) section?.code.splice(index, 1, text);
      else if (fence.language === "sh") installs.push(...installedBy(text));
    } else if (mark) {
      const [language = "", ...words] = info.trim().split(/\s+/);
      fence = { mark, language, run: language === "ts" && words.includes("run") };
      if (fence.language === "ts" && !fence.run) unmarked.push(line);
      if (!fence.run || section) continue;
      section = { heading, line: line + 1, code: lines.map(() => "") };
      examples.push(section);
    } else if (/^#{1,6}\s/.test(text)) {
      heading = text.replace(/^#+\s+/, "").trim();
      section = undefined;
    }
  }
  if (fence) throw new SyntaxError(`a code block is not closed: "${fence.mark}${fence.language}"`);
  return {
    examples: examples.map(({ code, ...example }) => ({
      ...example,
      code: `${code.join("\n").trimEnd()}\n`,
    })),
    unmarked,
    installs: [...new Set(installs)],
  };
}

function installedBy(command: string): string[] {
  const [, words] = /^\s*\$?\s*npm (?:i|install)\s+(.+)$/.exec(command) ?? [];
  return (words ?? "").split(/\s+/).filter((word) => word !== "" && !word.startsWith("-"));
}
