/** The forward pass over tiles: https://arxiv.org/abs/2205.14135. */
import { eachPair, eachRow, LANES, SIDE, summing } from "./attention-tile-wgsl.ts";
import type { PassCode, PassVariant } from "./attention-tile-wgsl.ts";
import { isBegun, NEVER } from "./attention-wgsl.ts";

/** Online softmax, https://arxiv.org/abs/1805.02867: scores to exponentials, earlier sums to the greatest score so far. */
function onlineSoftmax({ chunks, dropout }: PassVariant): string {
  return `${eachPair("queries", `s[i][j] = select(${NEVER}, modified(s[i][j], query_row, key), is_pair);`)}
    var top = vec4f(${NEVER});
    for (var i = 0u; i < 4; i++) { top[i] = max(max(s[i].x, s[i].y), max(s[i].z, s[i].w)); }
    tops[lane] = top;
    workgroupBarrier();
    for (var i = 0u; i < ${SIDE}; i++) { top = max(top, tops[row * ${SIDE} + i]); }
    top = max(top, most);
    let shrink = exp(most - top);
    most = top;
    for (var i = 0u; i < 4; i++) {
      s[i] = select(vec4f(), exp(s[i] - top[i]), s[i] > vec4f(${NEVER}));
      total[i] = total[i] * shrink[i] + s[i].x + s[i].y + s[i].z + s[i].w;
      for (var chunk = 0u; chunk < ${chunks}; chunk++) { sums[chunk][i] *= shrink[i]; }
    }${dropout ? eachPair("queries", "s[i][j] *= kept(query_row, key);") : ""}`;
}

/** What the forward pass does. */
export function forwardCode(variant: PassVariant): PassCode {
  const { chunks, keepsStats } = variant;
  const { functions, begin, tile, end } = summing(variant, "v");
  return {
    functions: `${functions}
var<workgroup> tops: array<vec4f, ${LANES}>;`,
    begin: `${begin}
  var most = vec4f(${NEVER});
  var total = vec4f();
  ${
    keepsStats
      ? `if (uniforms.resumes != 0) { ${eachRow(`let before = stats[at];
      most[i] = before.x;
      let is_begun = ${isBegun("before.x")};
      let sum = select(0.0, 1.0 / max(before.y, 1e-30), is_begun);
      // One lane has all of it: the lanes' parts are added up in the end.
      total[i] = select(0.0, sum, column == 0);
      for (var chunk = 0u; chunk < ${chunks}; chunk++) {
        sums[chunk][i] = select(vec4f(), sums[chunk][i] * sum, is_begun);
      }`)} }`
      : ""
  }`,
    tile: `${onlineSoftmax(variant)}${tile}`,
    end: `tops[lane] = total;
  workgroupBarrier();
  total = vec4f();
  for (var i = 0u; i < ${SIDE}; i++) { total += tops[row * ${SIDE} + i]; }
  let factors = vec4f(${[0, 1, 2, 3].map((i) => `factor_of(most[${i}], total[${i}])`).join(", ")});
  ${eachRow(`for (var chunk = 0u; chunk < ${chunks}; chunk++) { sums[chunk][i] *= factors[i]; }
    ${keepsStats ? "if (column == 0) { stats[at] = vec2f(most[i], factors[i]); }" : ""}`)}
  ${end}`,
  };
}
