import { describe, expect, test } from 'vitest'
import { manifestFileName, storeFiles } from '../../src/env/file-names.ts'
import type { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { frameRecord, sealRecord } from '../../src/record/record-frame.ts'
import { startEpoch } from '../../src/version/epochs.ts'
import { encodeManifestHeader } from '../../src/version/manifest-header.ts'
import { findOrphans, hasStore } from '../../src/version/orphans.ts'
import { VersionSet } from '../../src/version/version-set.ts'
import {
  added,
  describeVersion,
  DIRECTORY,
  keyspaceOf,
  newState,
  newVersions,
  reopen,
  segmentOf,
} from './version-samples.ts'

const CORRUPTION = { code: 'VARVE_CORRUPTION' }

describe('a version set', () => {
  test('is found again as it was left', async () => {
    const { fs, versions } = await newVersions()
    await versions.apply({
      additions: [
        ...added(0, segmentOf(10), segmentOf(11, { blobReferences: [{ file: 12, bytes: 50 }] })),
        ...added(3, segmentOf(13, { keys: ['a', 'f'] }), segmentOf(14, { keys: ['g', 'z'] })),
        ...added(
          'history',
          segmentOf(15, { order: 'seqno', firstKey: undefined, lastKey: undefined }),
        ),
        ...added(
          1,
          segmentOf(16, { keyspaceId: 2, coverStart: Buffer.from('c'), rangeFragments: 2 }),
        ),
      ],
      blobAdditions: [{ number: 12, bytes: 100, frames: 3, frameBytes: 90 }],
      state: { lastFlushedSeqno: 16, lastFlushedTimeMs: 12345, walNumber: 2, floor: 3 },
    })
    await versions.apply({
      removals: [10],
      moves: [{ number: 14, level: 4 }],
      state: {
        role: 'replica',
        storeId: 'other',
        sourceToken: 'token',
        epochs: startEpoch(versions.current.state, 16, 'ee02'),
        keyspaces: [
          {
            ...keyspaceOf(3),
            options: {
              ...keyspaceOf(3).options,
              blobThresholdBytes: Infinity,
              mergeOperator: 'counter',
              compression: 'lz4',
            },
          },
        ],
        consumers: [
          {
            name: 'c',
            position: 4,
            state: 'active',
            maxHeldBytes: 10,
            maxIdleMs: undefined,
            createdAt: 5,
            lastAckAt: 0,
          },
          {
            name: 'b',
            position: 9,
            state: 'lost',
            maxHeldBytes: undefined,
            maxIdleMs: 0,
            createdAt: 5,
            lastAckAt: undefined,
          },
        ],
        series: [
          { seqno: 1, timeMs: 1_700_000_000_000, userBytes: 10 },
          { seqno: 16, timeMs: 1_700_000_000_500, userBytes: 500 },
        ],
      },
    })
    const expected = describeVersion(versions.current)
    const again = await reopen(fs.crash('lost'))
    expect(describeVersion(again.versions.current)).toEqual(expected)
    expect(again.versions.current.state.logId).toBe('aabbccdd')
    await again.versions.apply({})
    expect(describeVersion((await reopen(again.fs.crash('lost'))).versions.current)).toEqual(
      expected,
    )
  })

  test('keeps level 0 newest first, deeper levels by key and history by first event', async () => {
    const { versions } = await newVersions()
    await versions.apply({
      additions: [
        ...added(0, segmentOf(20), segmentOf(22), segmentOf(21)),
        ...added(
          1,
          segmentOf(30, { keys: ['m', 'p'] }),
          segmentOf(31, {
            keys: ['c', 'd'],
            coverStart: Buffer.from('a'),
            coverEnd: Buffer.from('c'),
          }),
        ),
        ...added('history', segmentOf(41), segmentOf(40)),
      ],
    })
    const { levels, history, levelBytes, historyBytes } = versions.current.files(1)
    expect(levels[0]!.map(({ number }) => number)).toEqual([22, 21, 20])
    expect(levels[1]!.map(({ number }) => number)).toEqual([31, 30])
    expect(history.map(({ number }) => number)).toEqual([40, 41])
    expect(levelBytes).toEqual([3063, 2061, 0, 0, 0, 0, 0])
    expect(historyBytes).toBe(2081)
  })

  test('refuses segments that overlap in a level', async () => {
    const { versions } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10, { keys: ['a', 'm'] })) })
    const overlapping = [
      segmentOf(11, { keys: ['m', 'z'] }),
      segmentOf(12, { keys: ['x', 'z'], coverStart: Buffer.from('b'), coverEnd: Buffer.from('c') }),
    ]
    for (const meta of overlapping) {
      await expect(versions.apply({ additions: added(1, meta) })).rejects.toThrow('overlap')
    }
    await expect(
      versions.apply({
        additions: added(
          0,
          segmentOf(13, { minSeqno: 1, maxSeqno: 5 }),
          segmentOf(14, { minSeqno: 5, maxSeqno: 9 }),
        ),
      }),
    ).rejects.toThrow('overlap')
    expect(versions.current.files(1).levels[1]).toHaveLength(1)
  })

  test('refuses a floor that falls, an unknown file and a number used twice', async () => {
    const { versions } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10)), state: { floor: 5 } })
    await expect(versions.apply({ state: { floor: 4 } })).rejects.toThrow('the floor falls')
    await expect(versions.apply({ removals: [99] })).rejects.toThrow('not there')
    await expect(versions.apply({ additions: added(2, segmentOf(10)) })).rejects.toThrow('twice')
    await versions.apply({ removals: [10] })
    await expect(versions.apply({ removals: [10] })).rejects.toThrow('not there')
  })

  test('applies edits in the order of the calls', async () => {
    const { fs, versions } = await newVersions()
    const before = versions.current.state.floor
    const edits = Array.from({ length: 20 }, () =>
      versions.apply(({ state }) => ({ state: { floor: state.floor + 1 } })),
    )
    const floors = (await Promise.all(edits)).map(({ state }) => state.floor)
    expect(floors).toEqual(Array.from({ length: 20 }, (_, i) => before + i + 1))
    expect((await reopen(fs.crash('lost'))).versions.current.state.floor).toBe(before + 20)
  })

  test('never gives out a number that a file has', async () => {
    const { fs, versions } = await newVersions()
    const reserved = versions.reserveFileNumbers(5)
    fs.create(`${DIRECTORY}/000777.seg`).close()
    const again = await reopen(fs)
    expect(again.versions.allocateFileNumber()).toBe(778)
    expect(versions.allocateFileNumber()).toBe(reserved + 5)
  })
})

describe('segments by their last event', () => {
  test('are kept in order over edits', async () => {
    const { versions } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10, { maxEventSeqno: 90 })) })
    expect(versions.current.eventSegments().map(({ number }) => number)).toEqual([10])
    await versions.apply({
      additions: [
        ...added('history', segmentOf(11, { maxEventSeqno: 20 })),
        ...added(2, segmentOf(12, { events: 0, minEventSeqno: 0, maxEventSeqno: 0 })),
        ...added(2, segmentOf(13, { keyspaceId: 2, maxEventSeqno: 50 })),
      ],
    })
    expect(versions.current.eventSegments().map(({ number }) => number)).toEqual([11, 13, 10])
    await versions.apply({ removals: [13], moves: [{ number: 10, level: 5 }] })
    expect(versions.current.eventSegments().map(({ number }) => number)).toEqual([11, 10])
  })
})

describe('blob files', () => {
  test('leave with the last segment that references them, history too', async () => {
    const { fs, versions, unreachable } = await newVersions()
    const references = [{ file: 12, bytes: 40 }]
    await versions.apply({
      additions: [
        ...added(1, segmentOf(10, { blobReferences: references })),
        ...added('history', segmentOf(11, { blobReferences: references })),
      ],
      blobAdditions: [{ number: 12, bytes: 100, frames: 2, frameBytes: 80 }],
    })
    expect(versions.current.blobLiveBytes.get(12)).toBe(80)
    await versions.apply({ removals: [10] })
    expect(versions.current.blobLiveBytes.get(12)).toBe(40)
    await versions.apply({ removals: [11] })
    expect(versions.current.blobs.size).toBe(0)
    expect(unreachable).toContainEqual({ type: 'blob', number: 12 })
    expect((await reopen(fs.crash('lost'))).versions.current.blobs.size).toBe(0)
  })

  test('that nothing references from the beginning are given up at once', async () => {
    const { versions, unreachable } = await newVersions()
    await versions.apply({ blobAdditions: [{ number: 12, bytes: 1, frames: 0, frameBytes: 0 }] })
    expect(versions.current.blobs.size).toBe(0)
    expect(unreachable).toEqual([{ type: 'blob', number: 12 }])
  })

  test('are not removed while they are referenced, nor referenced without being there', async () => {
    const { versions } = await newVersions()
    const additions = added(1, segmentOf(10, { blobReferences: [{ file: 12, bytes: 40 }] }))
    await expect(versions.apply({ additions })).rejects.toThrow('not there')
    await versions.apply({
      additions,
      blobAdditions: [{ number: 12, bytes: 100, frames: 2, frameBytes: 80 }],
    })
    await expect(versions.apply({ blobRemovals: [12] })).rejects.toThrow('referenced')
  })
})

describe('files that are removed', () => {
  test('are unreachable when the last version that has them is released, and not before', async () => {
    const { versions, unreachable } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10)) })
    const old = versions.current.acquire()
    await versions.apply({ removals: [10], additions: added(1, segmentOf(11)) })
    expect(unreachable).toEqual([])
    // 11 came and went while the old version was held: nobody needs it.
    await versions.apply({ removals: [11] })
    expect(unreachable).toEqual([{ type: 'segment', number: 11 }])
    expect(old.segment(10)?.number).toBe(10)
    expect(old.segment(11)).toBeUndefined()
    expect(versions.current.segment(10)).toBeUndefined()
    old.release()
    expect(unreachable).toEqual([
      { type: 'segment', number: 11 },
      { type: 'segment', number: 10 },
    ])
  })

  test('are unreachable exactly when no live version has them, whatever is held', async () => {
    const { versions, unreachable } = await newVersions()
    const held: { version: typeof versions.current; files: Set<number> }[] = []
    let files = new Set<number>()
    let number = 100
    const reported = new Set<number>()
    let state = 12345
    const random = (n: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % n
    }
    const check = (): void => {
      for (const file of unreachable) if (file.type === 'segment') reported.add(file.number)
      const live = new Set([...files, ...held.flatMap((hold) => [...hold.files])])
      const gone = Array.from({ length: number - 100 }, (_, i) => 100 + i).filter(
        (n) => !live.has(n),
      )
      expect([...reported].sort((a, b) => a - b)).toEqual(gone)
    }
    for (let i = 0; i < 300; i++) {
      const removals = [...files].filter(() => random(3) === 0)
      const additions = Array.from({ length: random(3) }, () => segmentOf(number++))
      await versions.apply({ removals, additions: added('history', ...additions) })
      files = new Set([...files].filter((n) => !removals.includes(n)))
      for (const meta of additions) files.add(meta.number)
      if (random(3) === 0) held.push({ version: versions.current.acquire(), files: new Set(files) })
      if (held.length > 0 && random(3) === 0)
        held.splice(random(held.length), 1)[0]!.version.release()
      check()
    }
  })
})

describe('the manifest', () => {
  test('is written anew at the first edit after an open, and the old one given up', async () => {
    const { fs, versions } = await newVersions()
    const old = versions.manifestNumber
    await versions.apply({ state: { floor: 2 } })
    expect(versions.manifestNumber).toBe(old)
    const again = await reopen(fs)
    expect(again.versions.manifestNumber).toBe(old)
    await again.versions.apply({})
    expect(again.versions.manifestNumber).toBeGreaterThan(old)
    expect(again.unreachable).toEqual([{ type: 'manifest', number: old }])
  })

  test('is written anew when it has grown', async () => {
    const { fs, versions, unreachable } = await newVersions()
    const name = 'x'.repeat(60_000)
    for (let i = 0; i < 40; i++) {
      const consumer = {
        name,
        position: i,
        state: 'active',
        maxHeldBytes: 1,
        maxIdleMs: 1,
        createdAt: 1,
        lastAckAt: 1,
      } as const
      await versions.apply({ state: { consumers: [consumer] } })
    }
    expect(unreachable.filter(({ type }) => type === 'manifest').length).toBeGreaterThan(0)
    expect((await reopen(fs.crash('lost'))).versions.current.state.consumers[0]!.position).toBe(39)
  })

  test('is written anew after an edit that did not fit on the disk', async () => {
    const { fs, versions } = await newVersions()
    const old = versions.manifestNumber
    fs.inject({ operation: 'write', effect: 'short' })
    fs.inject({ operation: 'write', effect: 'ENOSPC' })
    await expect(versions.apply({ state: { floor: 2 } })).rejects.toMatchObject({ code: 'ENOSPC' })
    fs.clearFaults()
    expect(versions.failure).toBeUndefined()
    expect(versions.current.state.floor).toBe(1)
    await versions.apply({ state: { floor: 3 } })
    expect(versions.manifestNumber).toBeGreaterThan(old)
    expect((await reopen(fs.crash('lost'))).versions.current.state.floor).toBe(3)
  })

  test('that does not fit on the disk leaves nothing behind and is tried again', async () => {
    const { fs } = await newVersions()
    const again = await reopen(fs)
    const files = fs.list(DIRECTORY)
    for (let after = 0; after < 4; after++) {
      fs.inject({ operation: 'write', effect: 'ENOSPC', after })
      const result = await again.versions.apply({}).catch((error: unknown) => error)
      fs.clearFaults()
      if (!(result instanceof Error)) break
      expect(fs.list(DIRECTORY).filter((name) => !name.endsWith('.tmp'))).toEqual(files)
    }
    await again.versions.apply({ state: { floor: 2 } })
    expect((await reopen(fs.crash('lost'))).versions.current.state.floor).toBe(2)
  })

  test('takes nothing more after a sync failed', async () => {
    for (const operation of ['sync', 'syncDirectory'] as const) {
      const { fs } = await newVersions()
      const { versions } = await reopen(fs)
      fs.inject({ operation, effect: 'EIO' })
      await expect(versions.apply({})).rejects.toMatchObject({ code: 'EIO' })
      expect(versions.failure).toMatchObject({ code: 'EIO' })
      const before = fs.operationCount
      await expect(versions.apply({})).rejects.toMatchObject({ code: 'EIO' })
      expect(fs.operationCount).toBe(before)
    }
  })

  test('of a newer version is refused with both versions', async () => {
    const { fs, versions } = await newVersions()
    const header = encodeManifestHeader({ snapshotEdits: 1 })
    header.writeUInt32LE(9, 32)
    sealRecord(header, 0, {
      fileNumber: versions.manifestNumber,
      previous: 0,
      durableBytes: 0,
      seed: 0,
    })
    fs.corrupt(versions.manifestPath, 0, header)
    await expect(reopen(fs)).rejects.toMatchObject({
      code: 'VARVE_UNSUPPORTED_FORMAT',
      details: { file: versions.manifestPath, found: 9, supported: 1 },
    })
  })

  test('with an unknown kind of record is refused', async () => {
    const { fs, versions } = await newVersions()
    const bytes = fs.files().get(versions.manifestPath)!
    await versions.close()
    const record = frameRecord(77, Buffer.from('?'))
    const last = bytes.length - 24
    sealRecord(record, 0, {
      fileNumber: versions.manifestNumber,
      previous: Buffer.from(bytes).readUInt32LE(last),
      durableBytes: 0,
      seed: 0,
    })
    append(fs, versions.manifestNumber, record)
    await expect(reopen(fs)).rejects.toMatchObject({ code: 'VARVE_UNSUPPORTED_FORMAT' })
  })
})

function append(fs: MemoryFileSystem, manifest: number, bytes: Uint8Array): void {
  const path = `${DIRECTORY}/${manifestFileName(manifest)}`
  const old = fs.files().get(path)!
  fs.remove(path)
  const file = fs.create(path)
  file.append(old, 0, old.length)
  file.append(bytes, 0, bytes.length)
  file.close()
}

describe('damage to the manifest', () => {
  test('anywhere in what was synced is corruption or, in the last mark, nothing', async () => {
    const { fs, versions } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10)) })
    await versions.apply({ state: { floor: 2 } })
    const path = versions.manifestPath
    const { length } = fs.files().get(path)!
    const expected = describeVersion(versions.current)
    for (let at = 0; at < length; at++) {
      const image = fs.crash('kept')
      image.corrupt(path, at, Buffer.from([image.files().get(path)![at]! ^ 0x10]))
      const result = await reopen(image).catch((error: unknown) => error)
      if (at < length - 24) {
        expect(result, `offset ${at}`).toMatchObject(
          at >= 32 && at < 36 ? { code: /CORRUPTION|UNSUPPORTED/ } : CORRUPTION,
        )
      } else {
        expect(result).not.toBeInstanceOf(Error)
        expect(
          describeVersion((result as Awaited<ReturnType<typeof reopen>>).versions.current),
        ).toEqual(expected)
      }
    }
  })

  test('missing is corruption, and so is a damaged CURRENT', async () => {
    const { fs, versions } = await newVersions()
    const current = `${DIRECTORY}/CURRENT`
    for (let at = 0; at < fs.files().get(current)!.length; at++) {
      const image = fs.crash('kept')
      image.corrupt(current, at, Buffer.from([image.files().get(current)![at]! ^ 1]))
      await expect(reopen(image), `offset ${at}`).rejects.toThrow(
        /CORRUPTION|damaged|newer|CURRENT/,
      )
    }
    fs.remove(versions.manifestPath)
    await expect(reopen(fs)).rejects.toMatchObject(CORRUPTION)
  })
})

describe('a crash', () => {
  test('at any operation leaves the state before or after the edit', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      for (let n = 1; ; n++) {
        const { fs } = await newVersions()
        const { versions } = await reopen(fs)
        fs.dieAtOperation(fs.operationCount + n)
        const floors = [1]
        try {
          for (let floor = 2; floor <= 4; floor++) {
            floors.push(floor)
            await versions.apply({ state: { floor } })
            floors.shift()
          }
          break
        } catch {
          const image = fs.crash({ seed: seed * 1000 + n })
          const again = await reopen(image)
          expect(floors, `operation ${n}, seed ${seed}`).toContain(
            again.versions.current.state.floor,
          )
          await again.versions.apply({ state: { floor: 10 } })
          expect((await reopen(image.crash('lost'))).versions.current.state.floor).toBe(10)
        }
      }
    }
  })

  test('while a store is created leaves none, or a whole one', async () => {
    for (let n = 1; n < 40; n++) {
      const { MemoryFileSystem } = await import('../../src/env/memory-file-system.ts')
      const fs = new MemoryFileSystem()
      fs.makeDirectory(DIRECTORY)
      fs.dieAtOperation(fs.operationCount + n)
      const created = await VersionSet.create({ fs, directory: DIRECTORY }, newState()).catch(
        () => undefined,
      )
      const image = fs.crash({ seed: n })
      if (created !== undefined) expect(hasStore(image, DIRECTORY)).toBe(true)
      if (hasStore(image, DIRECTORY)) {
        expect((await reopen(image)).versions.current.state.storeId).toBe('aabbccdd')
      } else {
        await VersionSet.create({ fs: image, directory: DIRECTORY }, newState())
        expect(hasStore(image.crash('lost'), DIRECTORY)).toBe(true)
      }
      if (created !== undefined) break
    }
  })
})

describe('a clean close', () => {
  test('holds for these very files only, and until the next edit', async () => {
    const { fs, versions } = await newVersions()
    await versions.apply({ state: { floor: 2 } })
    await versions.markClean({ walNumber: 1, walBytes: 77 })
    await versions.close()
    const again = await reopen(fs)
    expect(again.isClean).toBe(true)
    expect(again.versions.current.state.cleanClose).toMatchObject({ walNumber: 1, walBytes: 77 })

    const copy = fs.crash('kept')
    const bytes = copy.files().get(versions.manifestPath)!
    copy.remove(versions.manifestPath)
    const file = copy.create(versions.manifestPath)
    file.append(bytes, 0, bytes.length)
    expect((await reopen(copy)).isClean).toBe(false)

    await again.versions.apply({})
    expect((await reopen(fs)).isClean).toBe(false)
  })

  test('names the new manifest when one has to be written for it', async () => {
    const { fs } = await newVersions()
    const { versions } = await reopen(fs)
    await versions.markClean({ walNumber: 1, walBytes: 77 })
    expect((await reopen(fs.crash('lost'))).isClean).toBe(true)
  })
})

describe('orphans', () => {
  test('are what no version names', async () => {
    const { fs, versions } = await newVersions()
    await versions.apply({ additions: added(1, segmentOf(10)) })
    for (const name of [
      '000010.seg',
      '000011.seg',
      '000012.blob',
      'MANIFEST-000900',
      '000001.wal',
      '000013.wal',
      'CURRENT.tmp',
      'notes.txt',
      'LOCK',
    ]) {
      fs.create(`${DIRECTORY}/${name}`).close()
    }
    const options = {
      version: versions.current,
      manifestNumber: versions.manifestNumber,
      keepsLog: (n: number) => n === 1,
    }
    expect(findOrphans(DIRECTORY, storeFiles(fs.list(DIRECTORY)), options)).toEqual([
      '000011.seg',
      '000012.blob',
      '000013.wal',
      'CURRENT.tmp',
      'MANIFEST-000900',
    ])
    fs.remove(`${DIRECTORY}/000010.seg`)
    expect(() => findOrphans(DIRECTORY, storeFiles(fs.list(DIRECTORY)), options)).toThrow('missing')
  })

  test('of a store that lost CURRENT are no empty directory', async () => {
    const { fs } = await newVersions()
    fs.remove(`${DIRECTORY}/CURRENT`)
    expect(hasStore(fs, DIRECTORY)).toBe(false)
    fs.create(`${DIRECTORY}/000010.seg`).close()
    expect(() => hasStore(fs, DIRECTORY)).toThrow('CURRENT is missing')
  })
})

describe('reading beside a writer', () => {
  test('starts over when the manifest was replaced meanwhile, and changes nothing', async () => {
    const { fs, versions } = await newVersions()
    await versions.apply({ state: { floor: 2 } })
    const before = fs.operationCount
    expect((await VersionSet.load(fs, DIRECTORY))?.version.state.floor).toBe(2)
    expect(fs.operationCount).toBe(before)
    // The manifest is gone when it is opened; then the writer has moved on.
    const old = versions.manifestPath
    fs.inject({ operation: 'read', file: /MANIFEST/, effect: 'EMFILE', times: 1, after: 1000 })
    await versions.rewrite({ state: { floor: 3 } })
    fs.remove(old)
    expect((await VersionSet.load(fs, DIRECTORY))?.version.state.floor).toBe(3)
  })

  test('gives up when the manifest stays away', async () => {
    const { fs, versions } = await newVersions()
    fs.remove(versions.manifestPath)
    await expect(VersionSet.load(fs, DIRECTORY)).rejects.toMatchObject(CORRUPTION)
    expect(await VersionSet.load(fs, '/')).toBeUndefined()
  })
})
