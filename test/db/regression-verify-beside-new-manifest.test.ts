import { expect, test } from 'vitest'
import type { FileSystem } from '../../src/env/file-system.ts'
import { Varve } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'

const LOCATION = '/data/store'
const CURRENT = `${LOCATION}/CURRENT`

test('verify beside a writer that replaces its manifest meanwhile finds nothing missing', async () => {
  const disk = new MemoryFileSystem()
  const first = await Varve.open(LOCATION, { environment: { fs: disk } })
  await first.put('a', '1')
  const before = disk.crash('kept')

  /** So many looks at CURRENT still come right before it is replaced. */
  let early = 0
  const fs: FileSystem = new Proxy<FileSystem>(disk, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name, target)
      if (typeof found !== 'function') return found
      if (name !== 'openRead') return found.bind(target)
      return (path: string) => {
        const isEarly = path === CURRENT && early > 0
        if (isEarly) early--
        return isEarly ? before.openRead(path) : target.openRead(path)
      }
    },
  })
  const reader = await Varve.open(LOCATION, { readOnly: true, environment: { fs } })
  await first.close()
  const second = await Varve.open(LOCATION, { environment: { fs: disk } })
  await second.put('a', '2')
  await second.flush()
  for (const looks of [1, 2]) {
    early = looks
    expect((await reader.verify()).problems, `${looks} looks`).toEqual([])
    expect(early).toBeLessThan(looks)
  }

  // What is missing and stays so is told.
  const [path] = [...disk.files().keys()].filter((name) => name.includes('MANIFEST'))
  disk.remove(path!)
  expect((await reader.verify()).problems).toMatchObject([
    { file: path, code: 'VARVE_CORRUPTION', message: /is missing/ },
  ])
  await reader.close()
  await second.close().catch(() => undefined)
})
