/**
 * Every crash point of some seeds, on each kind of disk: `npm run test:crash`.
 *
 * `npx tsx test/crash/run.ts [first seed] [count of seeds] [share of operations] [--mixed disks that lost a part, each
 * operation]`; a single one to look into:
 * `npx tsx test/crash/run.ts --seed 7 --operation 133`.
 */
import { fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { STEPS, sweep, type Swept } from './sweep.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    operation: { type: 'string' },
    share: { type: 'string' },
    mixed: { type: 'string', default: '1' },
    verbose: { type: 'boolean' },
  },
})

if (values.seed === undefined) await runAll()
else await runOne(Number(values.seed))

async function runAll(): Promise<void> {
  const first = Number(positionals[0] ?? 1)
  const count = Number(positionals[1] ?? 20)
  const share = positionals[2] ?? '1'
  const startedAt = performance.now()
  const seeds = Array.from({ length: count }, (_, index) => first + index)
  const total = { seeds: 0, operations: 0, crashes: 0, crashesAgain: 0, failed: [] as number[] }
  const work = async (): Promise<void> => {
    for (;;) {
      const seed = seeds.shift()
      if (seed === undefined) return
      const swept = await inProcess(seed, share)
      total.seeds++
      if (swept === undefined) total.failed.push(seed)
      else {
        total.operations += swept.operations
        total.crashes += swept.crashes
        total.crashesAgain += swept.crashesAgain
        console.log(`seed ${seed}: ${JSON.stringify(swept)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  console.log(`${JSON.stringify(total)} in ${seconds} s`)
  if (total.failed.length > 0) process.exitCode = 1
}

/** A process for each seed: what one leaves behind cannot help another. */
function inProcess(seed: number, share: string): Promise<Swept | undefined> {
  return new Promise((resolve) => {
    const args = ['--seed', String(seed), '--share', share, '--mixed', values.mixed]
    const child = fork(fileURLToPath(import.meta.url), args)
    let swept: Swept | undefined
    child.on('message', (message) => (swept = message as Swept))
    child.on('exit', (code) => resolve(code === 0 ? swept : undefined))
  })
}

async function runOne(seed: number): Promise<void> {
  // The costly assertions, as in every test.
  Reflect.set(globalThis, Symbol.for('varve.paranoid'), true)
  try {
    const swept = await sweep({
      seed,
      steps: STEPS,
      share: Number(values.share ?? 1),
      againShare: 0.2,
      mixed: Number(values.mixed),
      ...(values.operation === undefined ? {} : { only: Number(values.operation) }),
      onPoint: ({ name }) => {
        if (values.verbose === true) console.log(name)
      },
    })
    if (process.send === undefined) console.log(JSON.stringify(swept))
    else process.send(swept)
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
}
