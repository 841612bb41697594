/**
 * Every decoder against damaged bytes for as long as is wanted: `npm run test:fuzz [-- seconds each [seed [part of a name]]]`.
 */
import { fuzz } from './fuzzing.ts'
import { RECORD_TARGETS } from './record-targets.ts'
import { SEGMENT_TARGETS } from './segment-targets.ts'

Reflect.set(globalThis, Symbol.for('varve.paranoid'), true)
const seconds = Number(process.argv[2] ?? 20)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const wanted = process.argv[4] ?? ''
console.log(`seed ${seed}, ${seconds} s each`)
let total = 0
for (const target of [...RECORD_TARGETS, ...SEGMENT_TARGETS]) {
  if (!target.name.includes(wanted)) continue
  const { tried, refused } = await fuzz(target, { runs: Number.MAX_SAFE_INTEGER, seconds, seed })
  total += tried
  console.log(`${target.name}: ${tried} inputs, ${refused} refused`)
}
console.log(`${total} inputs, none answered wrongly`)
