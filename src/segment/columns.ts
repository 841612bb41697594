/**
 * Columns of fixed-width integers as they stand in a section of a segment: little-endian, one after the other. Where memory has
 * them in the processor's own form, which is the rule, a column is a view of the section and costs nothing to open.
 */
import { readU32, writeU32 } from '../base/bytes.ts'

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

export const U32_BYTES = 4
export const F64_BYTES = 8

/** What columns are made of while they are collected. */
type Column = Float64Array | Int32Array | Uint32Array | number[]

/** `count` unsigned 32-bit integers from `at` on. */
export function u32Column(bytes: Uint8Array, at: number, count: number): Uint32Array {
  const offset = bytes.byteOffset + at
  if (isLittleEndian && offset % U32_BYTES === 0) {
    return new Uint32Array(bytes.buffer, offset, count)
  }
  const column = new Uint32Array(count)
  for (let i = 0; i < count; i++) column[i] = readU32(bytes, at + U32_BYTES * i)
  return column
}

/** The same bits as signed integers. */
export function i32Column(bytes: Uint8Array, at: number, count: number): Int32Array {
  const column = u32Column(bytes, at, count)
  return new Int32Array(column.buffer, column.byteOffset, count)
}

/** `count` doubles from `at` on. */
export function f64Column(bytes: Uint8Array, at: number, count: number): Float64Array {
  const offset = bytes.byteOffset + at
  if (isLittleEndian && offset % F64_BYTES === 0) {
    return new Float64Array(bytes.buffer, offset, count)
  }
  const column = new Float64Array(count)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let i = 0; i < count; i++) column[i] = view.getFloat64(at + F64_BYTES * i, true)
  return column
}

/** Writes the first `count` integers; returns the position behind them. */
export function writeU32Column(
  target: Uint8Array,
  at: number,
  column: Column,
  count: number,
): number {
  const offset = target.byteOffset + at
  if (isLittleEndian && offset % U32_BYTES === 0) {
    new Uint32Array(target.buffer, offset, count).set(firstOf(column, count))
    return at + U32_BYTES * count
  }
  let end = at
  for (let i = 0; i < count; i++) end = writeU32(target, end, column[i]! >>> 0)
  return end
}

/** Writes the first `count` doubles; returns the position behind them. */
export function writeF64Column(
  target: Uint8Array,
  at: number,
  column: Column,
  count: number,
): number {
  const view = new DataView(target.buffer, target.byteOffset, target.length)
  for (let i = 0; i < count; i++) view.setFloat64(at + F64_BYTES * i, column[i]!, true)
  return at + F64_BYTES * count
}

function firstOf(column: Column, count: number): ArrayLike<number> {
  if (column.length === count) return column
  return Array.isArray(column) ? column.slice(0, count) : column.subarray(0, count)
}
