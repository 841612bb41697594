/** Plays single seeds of the chain of replicas: `npx tsx test/replica/play.ts 17 18`. */
import { Chain } from './chain.ts'

Reflect.set(globalThis, Symbol.for('varve.paranoid'), true)
for (const seed of process.argv.slice(2).map(Number)) {
  const startedMs = performance.now()
  const chain = new Chain(seed)
  await chain.open()
  await chain.play(45)
  await chain.finish()
  process.stdout.write(`seed ${seed}: ${Math.round(performance.now() - startedMs)} ms\n`)
}
