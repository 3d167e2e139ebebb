/** Products of few rows: bound by memory, so that every value of the second factor is read once, for all rows. */
import { flatGroup, flatMain, program, programs } from "./program.ts";
import type { Program } from "./program.ts";
import { formName, productArrays, productFunctions } from "./product-parts.ts";
import type { ProductBuffers, ProductForm, ProductUniforms } from "./product-parts.ts";

/** The sums of a column of so many rows fit in registers and in workgroup memory. */
export const MOST_ROWS = 8;

/** Columns of a group, which has all rows of a matrix. */
export const COLUMNS = 16;

/** Quads of them. */
const PLACES = COLUMNS / 4;

/** What a program for few rows is written for. */
interface RowsVariant {
  /** With the first factor along the inner dimension. */
  readonly form: ProductForm;
  readonly rows: number;
  /** Invocations that share a sum. */
  readonly lanes: number;
}

/** A program for exactly as many rows. */
export const rowsProgram: (variant: RowsVariant) => Program<ProductBuffers, ProductUniforms> = programs(
  ({ form, rows, lanes }) => {
    const size = PLACES * lanes;
    const [four, each] = [[0, 1, 2, 3], Array.from({ length: rows }, (_, row) => row)];
    // Neighbouring invocations read neighbouring quads of the second factor.
    const [place, lane] = form.b.alongInner
      ? [`index / ${lanes}`, `index % ${lanes}`]
      : [`index % ${PLACES}`, `index / ${PLACES}`];
    const quadOfB = (i: number): string =>
      form.b.alongInner ? `b_quad(matrix, column + ${i}, step)` : `b_quad(matrix, step + ${i}, column)`;
    const products = form.b.alongInner
      ? "vec4f(dot(x, b0), dot(x, b1), dot(x, b2), dot(x, b3))"
      : "x.x * b0 + x.y * b1 + x.z * b2 + x.w * b3";
    const keep = (row: number, i: number): string =>
      `parts[(${row * COLUMNS + i} + 4 * place) * ${lanes} + lane] = sum${row}[${i}];`;
    return program({
      name: `product.f32.${formName(form)}.rows${rows}.lanes${lanes}`,
      ...productArrays(form),
      code: `${productFunctions(form)}
var<workgroup> parts: array<f32, ${rows * COLUMNS * lanes}>;
${flatMain(size, "index")}
  let groups_across = (uniforms.columns + ${COLUMNS - 1}) / ${COLUMNS};
  let matrix = ${flatGroup} / groups_across;
  let first = ${flatGroup} % groups_across * ${COLUMNS};
  if (matrix >= uniforms.batch) { return; }
  let place = ${place};
  let lane = ${lane};
  let column = first + 4 * place;
  ${each.map((row) => `var sum${row} = vec4f();`).join("\n  ")}
  for (var step = 4 * lane; step < uniforms.inner; step += ${4 * lanes}) {
    ${four.map((i) => `let b${i} = ${quadOfB(i)};`).join("\n    ")}
    ${each.map((row) => `{ let x = a_quad(matrix, ${row}, step); sum${row} += ${products}; }`).join("\n    ")}
  }
  ${each.flatMap((row) => four.map((i) => keep(row, i))).join("\n  ")}
  workgroupBarrier();
  for (var i = index; i < ${rows * COLUMNS}; i += ${size}) {
    var sum = 0.0;
    // Each begins at another lane, in another bank.
    for (var other = 0u; other < ${lanes}; other++) { sum += parts[i * ${lanes} + (other + i) % ${lanes}]; }
    store(matrix, i / ${COLUMNS}, first + i % ${COLUMNS}, sum);
  }
}`,
    });
  },
);
