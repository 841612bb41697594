import { describe, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { frameRecord, recordLength, sealRecord } from '../../src/record/record-frame.ts'
import { RECORD_HEADER_BYTES } from '../../src/record/record-header.ts'
import { type Damage, RecordReader } from '../../src/record/record-reader.ts'
import {
  bytesOf,
  chainOf,
  DIRECTORY,
  FILE_NUMBER,
  putFile,
  randomOf,
  SEED,
} from './record-samples.ts'

interface ReadResult {
  payloads: Buffer[]
  damage: Damage | undefined
  error: unknown
}

async function readAll(bytes: Uint8Array, durableBytes = 0): Promise<ReadResult> {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(DIRECTORY)
  const file = fs.openRead(putFile(fs, 'log', bytes))
  const reader = new RecordReader(file, { fileNumber: FILE_NUMBER, seed: SEED })
  const payloads: Buffer[] = []
  try {
    while (await reader.next()) {
      payloads.push(
        Buffer.from(reader.bytes.subarray(reader.start + RECORD_HEADER_BYTES, reader.end)),
      )
    }
    return { payloads, damage: await reader.damage(durableBytes), error: undefined }
  } catch (error) {
    return { payloads, damage: undefined, error }
  } finally {
    file.close()
  }
}

const PAYLOADS = [bytesOf(10, 0x61), bytesOf(0, 0), bytesOf(2000, 0x62), bytesOf(300, 0x63)]

describe('records in a log', () => {
  test('are read back in order', async () => {
    const { bytes } = chainOf(PAYLOADS)
    expect(await readAll(bytes)).toEqual({
      payloads: PAYLOADS,
      damage: undefined,
      error: undefined,
    })
  })

  test('larger than the window are read whole', async () => {
    const payloads = [bytesOf(3_000_000, 1), bytesOf(5, 2), bytesOf(1_048_570, 3), bytesOf(7, 4)]
    const { bytes } = chainOf(payloads)
    const result = await readAll(bytes)
    expect(result.damage).toBeUndefined()
    expect(result.payloads.map((payload) => payload.length)).toEqual([3_000_000, 5, 1_048_570, 7])
    expect(result.payloads[2]!.equals(payloads[2]!)).toBe(true)
  })

  test('that are cut off anywhere end as a torn tail', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS)
    for (let end = 0; end < bytes.length; end += 1 + (end % 5)) {
      const whole = offsets.filter((at) => at + recordLength(bytes, at) <= end).length
      const result = await readAll(bytes.subarray(0, end))
      expect(result.payloads).toHaveLength(whole)
      const isBoundary = offsets.includes(end)
      expect(result.damage?.isRot).toBe(isBoundary ? undefined : false)
    }
  })

  test('followed by zeros end as a torn tail', async () => {
    const { bytes } = chainOf(PAYLOADS)
    const result = await readAll(Buffer.concat([bytes, Buffer.alloc(5_000)]))
    expect(result.payloads).toHaveLength(4)
    expect(result.damage).toMatchObject({ offset: bytes.length, isRot: false })
  })

  test('behind damage that a later record counts as durable tell of rot', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS, (index, offset) => (index === 3 ? offset : 0))
    bytes.fill(0, offsets[2]! + 600, offsets[2]! + 1200)
    expect((await readAll(bytes)).damage).toMatchObject({ offset: offsets[2], isRot: true })
  })

  test('behind a flipped bit tell of rot, as no power cut leaves that', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS)
    bytes[offsets[2]! + 700]! ^= 4
    expect((await readAll(bytes)).damage).toMatchObject({ offset: offsets[2], isRot: true })
  })

  test('behind a sector of zeros are a torn tail', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS)
    bytes.fill(0, 512, 1024)
    expect((await readAll(bytes)).damage).toMatchObject({ offset: offsets[2], isRot: false })
  })

  test('that are damaged in a part known to be durable are rot, even with nothing behind', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS)
    const cut = bytes.subarray(0, bytes.length - 1)
    expect((await readAll(cut, offsets[3]!)).damage).toMatchObject({ isRot: false })
    expect((await readAll(cut, bytes.length)).damage).toMatchObject({ isRot: true })
  })

  test('of another file or another store are none', async () => {
    for (const other of [{ fileNumber: FILE_NUMBER + 1 }, { seed: SEED + 1 }]) {
      const stale = chainOf([bytesOf(600, 9)], (_, offset) => offset, other).bytes
      const own = chainOf(PAYLOADS).bytes
      const result = await readAll(Buffer.concat([own, stale]))
      expect(result.payloads).toHaveLength(4)
      expect(result.damage).toMatchObject({ offset: own.length, isRot: false })
    }
  })

  test('of another store inside a torn value prove nothing', async () => {
    const other = chainOf([bytesOf(40, 5), bytesOf(40, 6)], (_, offset) => offset, { seed: 1 })
    const { bytes, offsets } = chainOf([
      bytesOf(100, 1),
      Buffer.concat([bytesOf(600, 2), other.bytes]),
    ])
    bytes.fill(0, 512, 600)
    const result = await readAll(bytes)
    expect(result.damage).toMatchObject({ offset: offsets[1], isRot: false })
  })

  test('that follow another record than they say are corruption', async () => {
    const { bytes, offsets } = chainOf(PAYLOADS)
    const shuffled = Buffer.concat([bytes.subarray(0, offsets[1]), bytes.subarray(offsets[2])])
    const result = await readAll(shuffled)
    expect(result.error).toMatchObject({
      code: 'VARVE_CORRUPTION',
      details: { file: '/db/log', offset: offsets[1] },
    })
  })

  test('that count themselves as durable are corruption', async () => {
    const record = frameRecord(2, bytesOf(10, 1))
    sealRecord(record, 0, { fileNumber: FILE_NUMBER, previous: 0, durableBytes: 1, seed: SEED })
    expect((await readAll(record)).error).toMatchObject({ code: 'VARVE_CORRUPTION' })
  })

  test('with absurd lengths cost no memory', async () => {
    const { bytes } = chainOf(PAYLOADS)
    const wild = Buffer.from(bytes)
    wild.writeUInt32LE(0xffffffff, 4)
    expect((await readAll(wild)).payloads).toHaveLength(0)
  })
})

describe('mutated logs', () => {
  test('yield a prefix or corruption, and never records that were not written', async () => {
    const seed = Number(process.env['SEED'] ?? 1)
    console.log(`seed ${seed}`)
    const random = randomOf(seed)
    const pick = (n: number): number => Math.floor(random() * n)
    for (let round = 0; round < 400; round++) {
      const payloads = Array.from({ length: 1 + pick(6) }, (_, i) => bytesOf(pick(900), 65 + i))
      const { bytes } = chainOf(payloads, (_, offset) => (random() < 0.3 ? offset : 0))
      const mutated = mutate(bytes, random)
      const result = await readAll(mutated)
      for (const [i, payload] of result.payloads.entries()) {
        expect(payload.equals(payloads[i]!), `round ${round}`).toBe(true)
      }
      if (result.error !== undefined) {
        expect(result.error).toMatchObject({ code: 'VARVE_CORRUPTION' })
      }
    }
  })
})

function mutate(bytes: Buffer, random: () => number): Buffer {
  const pick = (n: number): number => Math.floor(random() * n)
  const mutated = Buffer.from(bytes)
  const count = 1 + pick(4)
  for (let i = 0; i < count; i++) {
    const at = pick(mutated.length)
    if (random() < 0.4) mutated[at]! ^= 1 << pick(8)
    else if (random() < 0.5) mutated[at] = pick(256)
    else mutated.fill(random() < 0.5 ? 0 : 0xff, at, Math.min(mutated.length, at + pick(600)))
  }
  return random() < 0.3 ? mutated.subarray(0, pick(mutated.length)) : mutated
}
