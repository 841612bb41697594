/** Logs, manifests, CURRENT, and what they carry. */
import { checksum } from '../../src/base/checksum.ts'
import { VarveError } from '../../src/base/errors.ts'
import {
  checkCommit,
  commitOperations,
  decodeCommitFields,
  OperationCursor,
} from '../../src/batch/commit-decoder.ts'
import { decodeToken, encodeToken } from '../../src/cdc/resume-token.ts'
import { decodeHolder } from '../../src/env/lock-holder.ts'
import { MemoryFileSystem } from '../../src/env/memory-file-system.ts'
import { recordLength, sealRecord } from '../../src/record/record-frame.ts'
import { RECORD_HEADER_BYTES } from '../../src/record/record-header.ts'
import type { FieldSource } from '../../src/record/tagged-fields.ts'
import { decodeCurrent, encodeCurrent } from '../../src/version/current-file.ts'
import { decodeEpochs, encodeEpochs } from '../../src/version/epochs.ts'
import { decodeManifestHeader } from '../../src/version/manifest-header.ts'
import { decodeEdit, encodeEdit } from '../../src/version/version-edit-codec.ts'
import { VersionSet } from '../../src/version/version-set.ts'
import { decodeWalHeader, encodeWalHeader } from '../../src/wal/wal-header.ts'
import { encodeCommit, merge, put, remove, removeRange } from '../memtable/commits.ts'
import { putFile } from '../record/record-samples.ts'
import {
  commitOf,
  createLog,
  LOG_ID,
  logPath,
  newDisk,
  replay,
  writeCommits,
} from '../wal/wal-samples.ts'
import { added, DIRECTORY, newVersions, segmentOf } from '../version/version-samples.ts'
import { type FuzzTarget, mustBe } from './fuzzing.ts'

const SOURCE: FieldSource = {
  file: 'damaged',
  fail: (reason, position) => {
    throw new VarveError('VARVE_CORRUPTION', reason, { position })
  },
}

const COMMITS = [
  encodeCommit(1, [put('key', 'value'), merge('key', 'more', 300), remove('gone')]),
  encodeCommit(1, [removeRange('a', 'b'), removeRange('b', undefined), put('k'.repeat(300), '')], {
    meta: Buffer.from('origin'),
    acks: [{ consumer: 'mail', next: 3 }],
  }),
  encodeCommit(1, [], { acks: [{ consumer: 'zweiter ü', next: 2 ** 40 }] }),
]

const commit: FuzzTarget = {
  name: 'commit',
  samples: COMMITS,
  decode: (bytes) => {
    checkCommit(bytes, 0, bytes.length, SOURCE)
    decodeCommitFields(bytes, 0, SOURCE)
    const cursor = new OperationCursor()
    cursor.open(bytes, 0)
    let operations = 0
    while (cursor.next()) {
      operations++
      mustBe(cursor.keyStart <= cursor.keyEnd && cursor.keyEnd <= cursor.valueStart, 'a key')
      mustBe(cursor.valueStart <= cursor.valueEnd && cursor.valueEnd <= bytes.length, 'a value')
    }
    mustBe(operations === commitOperations(bytes, 0), 'all operations')
  },
}

const EDITS = [
  encodeEdit({ state: { floor: 5, lastFlushedSeqno: 9, walNumber: 3, sourceToken: null } }),
  encodeEdit({
    additions: added(
      0,
      segmentOf(3, { blobReferences: [{ file: 8, bytes: 100 }], coverStart: Buffer.from('a') }),
      segmentOf(4, { keys: ['c', 'd'] }),
    ),
    blobAdditions: [{ number: 8, bytes: 120, frames: 1, frameBytes: 100 }],
    removals: [1],
    moves: [{ number: 2, level: 'history' }],
  }),
  encodeEdit({
    state: {
      epochs: [{ epoch: 1, id: 'ee', first: 1 }],
      consumers: [
        {
          name: 'mail',
          position: 5,
          state: 'active',
          maxHeldBytes: 100,
          maxIdleMs: undefined,
          createdAt: 1,
          lastAckAt: undefined,
        },
      ],
      series: [{ seqno: 4, timeMs: 100, userBytes: 1000 }],
    },
  }),
]

const edit: FuzzTarget = {
  name: 'manifest edit',
  samples: EDITS,
  decode: (bytes) => {
    const decoded = decodeEdit(bytes, 0, bytes.length, SOURCE)
    // What was understood is understood the same way when it is written again.
    const again = encodeEdit(decoded)
    const twice = encodeEdit(decodeEdit(again, 0, again.length, SOURCE))
    mustBe(twice.equals(again), 'the same edit')
  },
}

const epochs: FuzzTarget = {
  name: 'epochs',
  samples: [
    encodeEpochs([
      { epoch: 1, id: 'one', first: 1 },
      { epoch: 2, id: 'two', first: 70 },
    ]),
  ],
  decode: (bytes) => decodeEpochs(bytes, SOURCE),
}

const headers: FuzzTarget = {
  name: 'headers of logs and manifests',
  samples: [encodeWalHeader({ logId: LOG_ID, previous: undefined })],
  decode: (bytes) => {
    if (bytes.length < RECORD_HEADER_BYTES) return
    const decode = (run: () => unknown): unknown => {
      try {
        return run()
      } catch (error) {
        if (error instanceof VarveError) return error
        throw error
      }
    }
    const log = decode(() => decodeWalHeader(bytes, RECORD_HEADER_BYTES, bytes.length, 'log'))
    decode(() => decodeManifestHeader(bytes, RECORD_HEADER_BYTES, bytes.length, 'manifest'))
    if (log instanceof VarveError) throw log
  },
}

const current: FuzzTarget = {
  name: 'CURRENT',
  samples: [encodeCurrent(12)],
  decode: (bytes) => {
    const number = decodeCurrent(bytes, 'CURRENT')
    mustBe(encodeCurrent(number).equals(bytes), 'no two texts mean the same')
  },
}

const token: FuzzTarget = {
  name: 'token',
  codes: ['VARVE_INVALID_ARGUMENT'],
  samples: [
    Buffer.from(encodeToken({ storeId: 'store', epochId: 'epoch', epochFirst: 7, next: 2 ** 40 })),
  ],
  decode: (bytes) => {
    const text = bytes.toString('latin1')
    mustBe(encodeToken(decodeToken(text)) === text, 'no two texts mean the same')
  },
}

/** The same bytes, and the checksum that belongs to them: what gets past the checksum must be decoded with care too. */
const sealedToken: FuzzTarget = {
  name: 'token with a good checksum',
  codes: ['VARVE_INVALID_ARGUMENT'],
  samples: [Buffer.from('\u0001\u0005store\u0005epoch\u0007\u0009', 'latin1')],
  decode: (bytes) => {
    const sealed = Buffer.alloc(bytes.length + 4)
    bytes.copy(sealed)
    sealed.writeUInt32LE(checksum(bytes, 0, bytes.length), bytes.length)
    decodeToken(sealed.toString('base64url'))
  },
}

const log: FuzzTarget = {
  name: 'log',
  samples: [logBytes()],
  decode: (bytes) => replayBytes(bytes),
}

/** Damage inside a payload, with the frames of all records made good again. */
const sealedLog: FuzzTarget = {
  name: 'log with good checksums',
  samples: COMMITS.map((record) => record.subarray(RECORD_HEADER_BYTES)),
  decode: async (payload) => {
    const fs = newDisk()
    const wal = createLog(fs, 1)
    const record = Buffer.concat([COMMITS[0]!.subarray(0, RECORD_HEADER_BYTES), payload])
    record.writeUInt32LE(record.length, 4)
    wal.seal(record, 0)
    wal.write(record, 0, record.length)
    await wal.sync()
    await wal.close()
    await replay(fs)
  },
}

const manifest: FuzzTarget = {
  name: 'manifest',
  samples: [await manifestBytes()],
  decode: (bytes) => recoverManifest(bytes, (all) => all),
}

const sealedManifest: FuzzTarget = {
  name: 'manifest with good checksums',
  samples: manifest.samples,
  decode: (bytes) => recoverManifest(bytes, resealed),
}

const lock: FuzzTarget = {
  name: 'LOCK',
  samples: [
    Buffer.from('{"pid":7,"host":"here","token":"t","directoryInode":5,"bootId":"b"}', 'utf8'),
  ],
  decode: (bytes) => decodeHolder(bytes.toString('utf8')),
}

export const RECORD_TARGETS: readonly FuzzTarget[] = [
  commit,
  edit,
  epochs,
  headers,
  current,
  token,
  sealedToken,
  log,
  sealedLog,
  manifest,
  sealedManifest,
  lock,
]

function logBytes(): Buffer {
  const fs = newDisk()
  const wal = createLog(fs, 1)
  writeCommits(wal, [commitOf(1, 2), commitOf(3, 1), commitOf(4, 3, { valueBytes: 600 })])
  writeCommits(wal, [commitOf(7, 1, { fields: { meta: Buffer.from('m') } })])
  return Buffer.from(fs.files().get(logPath(1))!)
}

/** What is replayed is a prefix of what was written, or it is refused. */
async function replayBytes(bytes: Buffer): Promise<void> {
  const fs = newDisk()
  putFile(fs, logPath(1).slice(DIRECTORY.length + 1), bytes)
  const { seqnos } = await replay(fs)
  const whole = [
    [1, 2],
    [3, 1],
    [4, 3],
    [7, 1],
  ]
  mustBe(JSON.stringify(whole).startsWith(JSON.stringify(seqnos).slice(0, -1)), 'a prefix')
}

async function manifestBytes(): Promise<Buffer> {
  const { fs, versions } = await newVersions()
  await versions.apply({ additions: added(0, segmentOf(10, { minSeqno: 1, maxSeqno: 4 })) })
  await versions.apply({ additions: added(1, segmentOf(11)), state: { floor: 3 } })
  await versions.apply({ moves: [{ number: 10, level: 'history' }] })
  const bytes = Buffer.from(fs.files().get(versions.manifestPath)!)
  await versions.close()
  return bytes
}

async function recoverManifest(
  bytes: Buffer,
  mend: (bytes: Buffer, number: number) => Buffer,
): Promise<void> {
  const fs = new MemoryFileSystem()
  fs.makeDirectory(DIRECTORY)
  const number = 2
  putFile(fs, 'CURRENT', encodeCurrent(number))
  putFile(fs, 'MANIFEST-000002', mend(bytes, number))
  const recovered = await VersionSet.recover({ fs, directory: DIRECTORY })
  mustBe(recovered !== undefined, 'a store')
  await recovered?.versions.close()
}

/** Gives every record that the lengths lead to its frame. */
function resealed(bytes: Buffer, fileNumber: number): Buffer {
  const copy = Buffer.from(bytes)
  let previous = 0
  for (let at = 0; at + RECORD_HEADER_BYTES <= copy.length; ) {
    const length = recordLength(copy, at)
    if (length < RECORD_HEADER_BYTES || at + length > copy.length) break
    previous = sealRecord(copy, at, { fileNumber, previous, durableBytes: 0, seed: 0 })
    at += length
  }
  return copy
}
