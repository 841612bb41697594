import { expect, test } from 'vitest'
import type { FileSystem, WritableFile } from '../../src/env/file-system.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { fixture } from './open.ts'

/** The logs' syncs wait while there is a gate. */
class Gate {
  opened: Promise<void> | undefined
  #open = (): void => undefined

  close(): void {
    this.opened = new Promise((resolve) => (this.#open = resolve))
  }

  open(): void {
    this.#open()
    this.opened = undefined
  }

  before(fs: FileSystem): FileSystem {
    const waiting = (file: WritableFile): WritableFile =>
      new Proxy(file, {
        get: (target, name) => {
          const found: unknown = Reflect.get(target, name, target)
          if (typeof found !== 'function') return found
          if (name !== 'sync') return found.bind(target)
          return async () => {
            await this.opened
            await target.sync()
          }
        },
      })
    return new Proxy(fs, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name, target)
        if (typeof found !== 'function') return found
        if (name !== 'create') return found.bind(target)
        return (path: string) => {
          const file = target.create(path)
          return path.endsWith('.wal') ? waiting(file) : file
        }
      },
    })
  }
}

test('a consumer that is made anew never takes the acks of the one before for its own, whatever a power cut leaves', async () => {
  const disk = new MemoryFileSystem()
  const gate = new Gate()
  const environment = { fs: gate.before(disk) }
  const db = await fixture({ environment }).open()
  const before = await db.consumer('c', { from: 1 })
  for (let i = 0; i < 60; i++) await db.put(`${i}`, 'value', { sync: true })
  await before.ack(50)
  await db.dropConsumer('c')

  // The floor is raised by an edit while the first ack of the new one is on its way to the disk.
  gate.close()
  const raised = db.truncateHistory(20)
  const created = db.consumer('c', { from: 30 })
  await raised
  const disks = [disk.crash('lost'), disk.crash('kept')]
  gate.open()
  expect((await created).position).toBe(30)
  disks.push(disk.crash('lost'))
  await db.close()

  const positions: unknown[] = []
  for (const fs of disks) {
    const again = await fixture({}, fs).open()
    expect(again.history().floor).toBe(20)
    positions.push(again.consumers().map(({ position, state }) => `${position} ${state}`))
    expect((await again.consumer('c', { from: 30 })).position).toBe(30)
    await again.close()
  }
  expect(positions).toEqual([[], [], ['30 active']])
})
