/** One writer at a time, whoever and wherever the others are; the death of a writer frees its store at once. */
import fs from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { Varve } from '../../src/index.ts'
import { moduleUrl, Workshop } from './child-process.ts'

const workshop = new Workshop()
afterAll(() => workshop.close())

let directory: string
let count = 0
beforeEach(() => {
  directory = workshop.path(`store-${++count}`)
})

const lockedBy = (pid: number): object => ({ code: 'VARVE_LOCKED', details: { holder: { pid } } })

test('a second process is refused while the first has the store, and told who that is', async () => {
  const first = workshop.start('holder', [directory])
  expect(await first.line()).toBe('open')
  await expect(Varve.open(directory)).rejects.toMatchObject(lockedBy(first.pid))
  await expect(Varve.destroy(directory)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  await expect(Varve.repair(directory)).rejects.toMatchObject({ code: 'VARVE_LOCKED' })
  const second = workshop.start('holder', [directory])
  expect(await second.line()).toBe('VARVE_LOCKED')
  first.process.stdin!.end()
  expect(await first.ended).toBe(0)
  const store = await Varve.open(directory)
  expect(store.history()).toMatchObject({ latest: 1, epoch: 1 })
  await store.close()
})

test('a symbolic link leads to the same lock', async () => {
  const link = workshop.path('link')
  const store = await Varve.open(directory)
  fs.symlinkSync(directory, link)
  await expect(Varve.open(link)).rejects.toMatchObject(lockedBy(process.pid))
  const child = workshop.start('holder', [link])
  expect(await child.line()).toBe('VARVE_LOCKED')
  await store.close()
})

test('a store is refused to a worker thread and to this thread while the other has it', async () => {
  const store = await Varve.open(directory)
  expect(await openInWorker()).toBe('VARVE_LOCKED')
  await store.close()
  expect(await openInWorker()).toBe('open and closed')
  await (await Varve.open(directory)).close()
})

test('a killed process leaves its LOCK behind and nobody waits for it', async () => {
  const child = workshop.start('holder', [directory])
  expect(await child.line()).toBe('open')
  await child.kill()
  expect(fs.readdirSync(directory)).toContain('LOCK')
  const store = await Varve.open(directory)
  expect(store.history()).toMatchObject({ latest: 1, epoch: 2 })
  expect(await store.get(`pid ${child.pid}`)).toBeDefined()
  await store.close()
  expect(fs.readdirSync(directory)).not.toContain('LOCK')
})

test('a readOnly store opens beside a writer, and sees what it acknowledged', async () => {
  const child = workshop.start('holder', [directory])
  expect(await child.line()).toBe('open')
  const before = fs.readdirSync(directory)
  const store = await Varve.open(directory, { readOnly: true })
  expect(await store.get(`pid ${child.pid}`)).toBeDefined()
  await store.close()
  expect(fs.readdirSync(directory)).toEqual(before)
  await child.kill()
})

function openInWorker(): Promise<string> {
  const code = `
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(moduleUrl())})
      .then(({ Varve }) => Varve.open(${JSON.stringify(directory)}))
      .then((store) => store.close().then(() => 'open and closed'), (error) => error.code)
      .then((answer) => parentPort.postMessage(answer))`
  return new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true })
    worker.once('error', reject)
    worker.once('message', resolve)
  })
}
