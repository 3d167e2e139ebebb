/** Products of few rows: bound by memory, so that every value of the second factor is read once, for all rows. */
import { flatGroup, flatGroups, program, programs } from "./program.ts";
import type { Groups } from "./program.ts";
import { formName, productArrays, productFunctions } from "./product-parts.ts";
import type { ProductForm } from "./product-parts.ts";

/** A column's sums are kept in registers and workgroup memory, for each row. */
export const MOST_ROWS = 8;

/** Invocations that share the sums of four columns, quads of columns of a group, and its columns. */
const [LANES, QUADS] = [16, 4];
const [SIZE, COLUMNS] = [LANES * QUADS, 4 * QUADS];

/** One more than are filled, so that the sums of neighbouring columns start in different banks. */
const STRIDE = LANES + 1;

/** A program for as many rows, with the first factor along the inner dimension. */
export const rowsProgram = programs(({ form, rows }: { form: ProductForm; rows: number }) => {
  const each = Array.from({ length: rows }, (_, row) => row);
  // Neighbouring invocations read neighbouring quads of the second factor.
  const [place, lane] = form.b.alongInner
    ? [`index / ${LANES}`, `index % ${LANES}`]
    : [`index % ${QUADS}`, `index / ${QUADS}`];
  const quads = [0, 1, 2, 3].map((i) =>
    form.b.alongInner ? `b_quad(matrix, column + ${i}, step)` : `b_quad(matrix, step + ${i}, column)`,
  );
  const products = form.b.alongInner
    ? "vec4f(dot(x, b0), dot(x, b1), dot(x, b2), dot(x, b3))"
    : "x.x * b0 + x.y * b1 + x.z * b2 + x.w * b3";
  return program({
    name: `product.f32.${formName(form)}.rows${rows}`,
    ...productArrays(form),
    code: `${productFunctions(form)}
var<workgroup> parts: array<f32, ${rows * COLUMNS * STRIDE}>;
@compute @workgroup_size(${SIZE})
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let across = (uniforms.columns + ${COLUMNS - 1}) / ${COLUMNS};
  let matrix = ${flatGroup} / across;
  let first = ${flatGroup} % across * ${COLUMNS};
  if (matrix >= uniforms.batch) { return; }
  let place = ${place};
  let lane = ${lane};
  let column = first + 4 * place;
  ${each.map((row) => `var sum${row} = vec4f();`).join("\n  ")}
  for (var step = 4 * lane; step < uniforms.inner; step += ${4 * LANES}) {
    ${quads.map((quad, i) => `let b${i} = ${quad};`).join("\n    ")}
    ${each.map((row) => `{ let x = a_quad(matrix, ${row}, step); sum${row} += ${products}; }`).join("\n    ")}
  }
  ${each.flatMap((row) => [0, 1, 2, 3].map((i) => `parts[(${row * COLUMNS + i} + 4 * place) * ${STRIDE} + lane] = sum${row}[${i}];`)).join("\n  ")}
  workgroupBarrier();
  for (var i = index; i < ${rows * COLUMNS}; i += ${SIZE}) {
    var sum = 0.0;
    for (var other = 0u; other < ${LANES}; other++) { sum += parts[i * ${STRIDE} + other]; }
    store(matrix, i / ${COLUMNS}, first + i % ${COLUMNS}, sum);
  }
}`,
  });
});

/** Groups of as many columns as each has, for each matrix of the batch. */
export function rowsGroups(columns: number, batch: number): Groups {
  return flatGroups(Math.ceil(columns / COLUMNS) * batch);
}
