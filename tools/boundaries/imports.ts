import { parseSync, Visitor } from "oxc-parser";

/** Every module that a source file names: static and dynamic imports, re-exports, type imports, `new URL("./…")`. */
export function importsOf(file: string, source: string): string[] {
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0]!.message}`);
  const found = new Set<string>();
  const add = (node: { readonly type: string; readonly value?: unknown } | null | undefined): void => {
    if (node?.type === "Literal" && typeof node.value === "string") found.add(node.value);
  };
  new Visitor({
    ImportDeclaration: (node) => add(node.source),
    ExportAllDeclaration: (node) => add(node.source),
    ExportNamedDeclaration: (node) => add(node.source),
    ImportExpression: (node) => add(node.source),
    TSImportType: (node) => add(node.source),
    NewExpression(node) {
      const [path] = node.arguments;
      if (node.callee.type !== "Identifier" || node.callee.name !== "URL") return;
      if (path?.type === "Literal" && typeof path.value === "string" && path.value.startsWith(".")) add(path);
    },
  }).visit(program);
  return [...found];
}
