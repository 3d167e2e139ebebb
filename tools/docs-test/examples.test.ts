import { describe, expect, it } from "vitest";
import { readDocumentation } from "./examples.ts";

const markdown = `# Title

\`\`\`sh
npm i @heddle/core webgpu
npm install --save-dev vitest
npm run build
\`\`\`

## First

\`\`\`ts run
const one = 1;
\`\`\`

text with \`\`\`ts run\`\`\` inside

\`\`\`ts run
// # not a heading
console.log(one);
\`\`\`

### Second

\`\`\`ts
const notRun = true;
\`\`\`

~~~ts run
const fence = "\`\`\`";
~~~
`;

describe("readDocumentation", () => {
  const { examples, unmarked, installs } = readDocumentation(markdown);

  it("makes one module of the blocks of a section, on their own lines", () => {
    expect(examples.map(({ heading, line }) => ({ heading, line }))).toEqual([
      { heading: "First", line: 12 },
      { heading: "Second", line: 29 },
    ]);
    const source = markdown.split("\n");
    const first = examples[0]!.code.split("\n");
    expect(first.flatMap((text, index) => (text === "" ? [] : [index]))).toEqual([11, 17, 18]);
    for (const index of [11, 17, 18]) expect(first[index]).toBe(source[index]);
  });

  it("keeps another kind of fence inside a block", () => {
    expect(examples[1]!.code.trim()).toBe('const fence = "```";');
  });

  it("says which TypeScript blocks are not run", () => {
    expect(unmarked).toEqual([24]);
  });

  it("finds what is to be installed, without flags", () => {
    expect(installs).toEqual(["@heddle/core", "webgpu", "vitest"]);
  });

  it("refuses a block that never ends", () => {
    expect(() => readDocumentation("```ts run\nlet a;")).toThrow('a code block is not closed: "```ts"');
  });
});
