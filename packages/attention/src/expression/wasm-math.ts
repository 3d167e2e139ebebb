/** exp and tanh in float32 for emitted modules: WebAssembly has neither. */
import { FunctionWriter, op, wasmType } from "./wasm-writer.ts";

/** c0 + x (c1 + x (c2 + …)) of the local x; the coefficients from the highest power down. */
function polynomial(fn: FunctionWriter, x: number, coefficients: readonly number[]): void {
  for (const [at, coefficient] of coefficients.entries()) {
    if (at > 0) fn.get(x).emit(op.f32Mul);
    fn.f32(coefficient);
    if (at > 0) fn.emit(op.f32Add);
  }
}

/** 2^n of the i32 local n, which is within the exponents of float32. */
function powerOfTwo(fn: FunctionWriter, n: number): void {
  fn.get(n).i32(127).emit(op.i32Add).i32(23).emit(op.i32Shl, op.f32ReinterpretI32);
}

/** exp: range reduction by ln 2 and the polynomial of Cephes' expf; within 2 units in the last place. */
export function expFunction(): FunctionWriter {
  const fn = new FunctionWriter([wasmType.f32], [wasmType.f32]);
  const [x, n] = [0, fn.local(wasmType.f32)];
  const [r, half, rest] = [fn.local(wasmType.f32), fn.local(wasmType.i32), fn.local(wasmType.i32)];
  fn.get(x).f32(-104).emit(op.f32Max).f32(89).emit(op.f32Min).tee(x);
  fn.f32(Math.LOG2E).emit(op.f32Mul, op.f32Nearest).set(n);
  fn.get(x).get(n).f32(0.693359375).emit(op.f32Mul, op.f32Sub);
  fn.get(n).f32(-2.1219444e-4).emit(op.f32Mul, op.f32Sub).set(r);
  fn.get(n).truncate().tee(rest).i32(1).emit(op.i32ShrS).set(half);
  fn.get(rest).get(half).emit(op.i32Sub).set(rest);
  const coefficients = [
    1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5,
  ];
  polynomial(fn, r, coefficients);
  fn.get(r).emit(op.f32Mul).get(r).emit(op.f32Mul).get(r).emit(op.f32Add).f32(1).emit(op.f32Add);
  // In two steps, since n reaches beyond the exponents at both ends.
  powerOfTwo(fn, half);
  fn.emit(op.f32Mul);
  powerOfTwo(fn, rest);
  fn.emit(op.f32Mul);
  return fn;
}

/** tanh: an odd polynomial (Cephes' tanhf) near 0, else 1 - 2 / (exp(2|x|) + 1) with the sign of x. */
export function tanhFunction(exp: number): FunctionWriter {
  const fn = new FunctionWriter([wasmType.f32], [wasmType.f32]);
  const [x, square] = [0, fn.local(wasmType.f32)];
  fn.get(x).get(x).emit(op.f32Mul).set(square);
  const coefficients = [
    -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
  ];
  polynomial(fn, square, coefficients);
  fn.get(square).emit(op.f32Mul).get(x).emit(op.f32Mul).get(x).emit(op.f32Add);
  fn.f32(1).f32(2);
  fn.get(x).emit(op.f32Abs).f32(2).emit(op.f32Mul).call(exp).f32(1).emit(op.f32Add);
  fn.emit(op.f32Div, op.f32Sub).get(x).emit(op.f32Copysign);
  fn.get(x).emit(op.f32Abs).f32(0.625).emit(op.f32Lt, op.select);
  return fn;
}
