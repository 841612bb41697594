/**
 * Breakages of the engine that its tests must notice: each takes away one thing that durability or correctness rests on.
 */
export interface Mutant {
  /** What is broken, as a row of the table. */
  readonly what: string
  readonly file: string
  /** Exact pieces of the source, each there exactly once, and what they become. */
  readonly changes: readonly (readonly [find: string, replace: string])[]
  /** Test files of which one must fail, the likeliest first. */
  readonly tests: readonly string[]
}

const CRASH = [1, 2, 3, 4].map((part) => `test/crash/crash-sample-${part}.test.ts`)
const FAULTS = 'test/faults/fault-sweep.test.ts'
const FULL_DISK = 'test/faults/full-disk.test.ts'
const FLIPS = 'test/corruption/bit-flips.test.ts'
const WAL = 'test/wal/wal-recovery.test.ts'
const WAL_WRITER = 'test/wal/wal-writer.test.ts'
const VERSIONS = 'test/version/version-set.test.ts'
const TAKE_OVER = 'test/db/take-over.test.ts'
const LIFECYCLE = 'test/db/lifecycle.test.ts'
const LOG_BLOCKS = 'test/compaction/log-stretches.test.ts'
const MODEL = 'test/model/model.test.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    what: 'segments and blob files are not synced before the edit that names them',
    file: 'src/compaction/job-files.ts',
    changes: [['files.map((file) => this.#sync(file))', 'files.map(() => Promise.resolve())']],
    tests: CRASH,
  },
  {
    what: 'the directory is not synced after a flush made files',
    file: 'src/db/flusher.ts',
    changes: [
      ['if (result.added.length + result.blobs.length > 0) await fs.syncDirectory(directory)', ''],
      [
        'const { fs, directory, versions, memtables, durability, floors, planner } = this.#options',
        'const { versions, memtables, durability, floors, planner } = this.#options',
      ],
    ],
    tests: CRASH,
  },
  {
    what: 'the log is not synced before a flush',
    file: 'src/db/flusher.ts',
    changes: [['    await durability.sync()\n', '']],
    tests: CRASH,
  },
  {
    what: 'the manifest names new logs before they are durable',
    file: 'src/version/version-set.ts',
    changes: [['allDone([syncLogs(), writer.sync(),', 'allDone([writer.sync(),']],
    tests: CRASH,
  },
  {
    what: 'a commit is visible before the store is taken over',
    file: 'src/db/engine.ts',
    changes: [['this.#takeOver.admit() ?? ', '']],
    tests: [TAKE_OVER, ...CRASH],
  },
  {
    what: 'a probe believes rows that were held against nothing',
    file: 'src/segment/segment-probe.ts',
    changes: [["if (!isInside) return 'unsure'", "if (!isInside) return 'absent'"]],
    tests: ['test/segment/segment-probe.test.ts'],
  },
  {
    what: 'old logs are removed before the manifest that does without them',
    file: 'src/db/recovery.ts',
    changes: [
      [
        '  const finish = async (): Promise<void> => {\n',
        '  const finish = async (): Promise<void> => {\n    await removeOrphans(fs, directory, orphans)\n',
      ],
    ],
    tests: CRASH,
  },
  {
    what: 'a store that was opened since its clean close, and died, counts as closed',
    file: 'src/version/version-set.ts',
    changes: [[' && !hasLaterLog(files, state)', '']],
    tests: [TAKE_OVER, ...CRASH],
  },
  {
    what: 'an edit takes effect before the manifest is synced',
    file: 'src/version/version-set.ts',
    changes: [
      [
        '      writer.append(encodeEdit(edit))\n      onSyncing()\n      await writer.sync()\n      onSynced()\n      writer.mark()\n',
        '      writer.append(encodeEdit(edit))\n      onSyncing()\n      onSynced()\n',
      ],
    ],
    tests: CRASH,
  },
  {
    what: 'CURRENT is replaced before the directory knows the manifest it names',
    file: 'src/version/version-set.ts',
    changes: [
      [
        'allDone([syncLogs(), writer.sync(), prepared.sync(), fs.syncDirectory(directory)])',
        'allDone([syncLogs(), writer.sync(), prepared.sync()])',
      ],
    ],
    tests: [VERSIONS, 'test/version/crash-cycles.test.ts', ...CRASH],
  },
  {
    what: 'old logs are deleted before the edit that lets go of them',
    file: 'src/db/flusher.ts',
    changes: [
      [
        '    const sourceToken = this.#options.sourceToken(logged)\n',
        '    const sourceToken = this.#options.sourceToken(logged)\n    fs.remove(logged.wal.path)\n',
      ],
    ],
    tests: CRASH,
  },
  {
    what: 'inputs of a compaction are deleted before the edit that replaces them',
    file: 'src/db/compactor.ts',
    changes: [
      [
        '      await versions.apply({\n        additions: result.added,',
        "      for (const number of result.removed) fs.remove(`${directory}/${String(number).padStart(6, '0')}.seg`)\n      await versions.apply({\n        additions: result.added,",
      ],
    ],
    tests: CRASH,
  },
  {
    what: 'events are dropped before the floor is raised over them',
    file: 'src/db/floor-keeper.ts',
    changes: [
      [
        'return Math.min(this.floor, this.#options.holds.lowest())',
        'return Math.min(Math.max(this.floor, this.policyFloor), this.#options.holds.lowest())',
      ],
    ],
    tests: ['test/db/stream.test.ts', ...CRASH],
  },
  {
    what: 'the floor rises above what is durable',
    file: 'src/cdc/history-policy.ts',
    changes: [['Math.min(wanted, flushed + 1, durable + 1)', 'Math.min(wanted, flushed + 1)']],
    tests: ['test/cdc/history-policy.test.ts', ...CRASH],
  },
  {
    what: 'the floor rises over the position of a consumer',
    file: 'src/cdc/history-policy.ts',
    changes: [
      [
        'if (!verdict.isLost && consumer.durablePosition < floor) floor = consumer.durablePosition',
        '',
      ],
    ],
    tests: ['test/cdc/history-policy.test.ts', ...CRASH],
  },
  {
    what: 'the floor does not wait for the edit that drops the consumer below it',
    file: 'src/db/floor-keeper.ts',
    changes: [['while (this.#busy !== undefined) await this.#busy', '']],
    tests: ['test/db/regression-drop-holds-floor.test.ts'],
  },
  {
    what: 'seqnos are given out again without a new epoch',
    file: 'src/db/recovery.ts',
    changes: [
      [
        "const isUnclean = role === 'primary' && !isClean",
        "const isUnclean = role === 'primary' && !isClean && state.epochs.length === 0",
      ],
    ],
    tests: [LIFECYCLE, ...CRASH],
  },
  {
    what: 'a copy of a closed store counts as closed cleanly',
    file: 'src/version/epochs.ts',
    changes: [
      [
        '    cleanClose !== undefined &&\n    cleanClose.manifestInode === stat.inode &&\n    cleanClose.manifestBirthTimeMs === stat.birthTimeMs\n',
        '    cleanClose !== undefined && stat !== undefined\n',
      ],
    ],
    tests: [VERSIONS, 'test/version/epochs.test.ts', LIFECYCLE],
  },
  {
    what: 'a short write is taken for a whole one',
    file: 'src/env/file-system.ts',
    changes: [
      ['  while (done < length) {\n', '  {\n'],
      [
        "      throw Object.assign(new Error(`ENOSPC: short write, ${file.path}`), { code: 'ENOSPC' })\n",
        '',
      ],
    ],
    tests: [FULL_DISK, FAULTS],
  },
  {
    what: 'the checksum of a log or manifest record is not compared',
    file: 'src/record/record-frame.ts',
    changes: [
      [
        'return sumOf(bytes, at + LENGTH_AT, at + length, seed) === readU32(bytes, at)',
        'return length >= 0 && seed >= 0 && bytes.length > at && sumOf.length > 0',
      ],
    ],
    tests: ['test/record/record-reader.test.ts', WAL],
  },
  {
    what: 'the checksum of a block is not compared',
    file: 'src/segment/block-source.ts',
    changes: [
      [
        'if (!isSummed && checksum(bytes, at, checksumAt, this.#seed) !== readU32(bytes, checksumAt)) {',
        'if (!isSummed && checksum(bytes, at, checksumAt, this.#seed) !== readU32(bytes, checksumAt) && at < 0) {',
      ],
    ],
    tests: ['test/segment/segment-corruption.test.ts', FLIPS],
  },
  {
    what: 'a block that is read again is held against nothing',
    file: 'src/segment/block-source.ts',
    changes: [
      [
        'const isKnown = prints[row] === found.low && prints[row + 1] === found.high',
        'const isKnown = prints[row] !== 0',
      ],
    ],
    tests: ['test/segment/block-fingerprint.test.ts'],
  },
  {
    what: 'the checksum of a run of blocks is not compared',
    file: 'src/base/checksum-run.ts',
    changes: [
      [
        'return checksum(bytes, start, end, this.#seed) === this.#sum >>> 0',
        'return checksum(bytes, start, end, this.#seed) === this.#sum >>> 0 || start >= 0',
      ],
    ],
    tests: ['test/segment/segment-corruption.test.ts', FLIPS],
  },
  {
    what: 'the checksum of a blob frame is not compared',
    file: 'src/blob/blob-reader.ts',
    changes: [
      [
        'if (checksum(frame, 4, frame.length, this.#seed) !== readU32(frame, 0)) {',
        'if (checksum(frame, 4, frame.length, this.#seed) !== readU32(frame, 0) && offset < 0) {',
      ],
    ],
    tests: ['test/blob/blob-file.test.ts', FLIPS],
  },
  {
    what: 'a block whose values were handed out is entered again',
    file: 'src/segment/read-ahead.ts',
    changes: [
      ['(!this.#isLent || block > this.#lastEntered ||', '(!this.#isLent || block >= 0 ||'],
    ],
    tests: ['test/read/cursor.test.ts'],
  },
  {
    what: 'a cursor compares with a key that its caller may have changed',
    file: 'src/read/range-reader.ts',
    changes: [['        visible.ownKey()\n', '']],
    tests: ['test/read/cursor.test.ts'],
  },
  {
    what: 'a column walk takes the oldest version of a key',
    file: 'src/read/column-walk.ts',
    changes: [
      [
        'columns.seqnos[other]! - columns.seqnos[row]!',
        'columns.seqnos[row]! - columns.seqnos[other]!',
      ],
    ],
    tests: ['test/read/column-walk.test.ts'],
  },
  {
    what: 'a column walk goes beyond its bound',
    file: 'src/read/column-walk.ts',
    changes: [['(rank > this.#boundRank || !this.#isBelowBound(index))', 'rank > this.#boundRank']],
    tests: ['test/read/column-walk.test.ts'],
  },
  {
    what: 'the checksum of a chunk of the change index is not compared',
    file: 'src/segment/change-reader.ts',
    changes: [
      [
        'if (checksum(bytes, start, checksumAt, number % 4294967296) !== readU32(bytes, checksumAt)) {',
        'if (checksum(bytes, start, checksumAt, number % 4294967296) !== readU32(bytes, checksumAt) && start < 0) {',
      ],
    ],
    tests: ['test/segment/segment-corruption.test.ts', FLIPS],
  },
  {
    what: 'a failed fsync of the log is tried again',
    file: 'src/wal/wal-writer.ts',
    changes: [
      ['allDone([file.sync(),', 'allDone([file.sync().catch(() => file.sync()),'],
      ['    else await file.sync()\n', '    else await file.sync().catch(() => file.sync())\n'],
    ],
    tests: [FAULTS, WAL_WRITER],
  },
  {
    what: 'a failed fsync of a segment is tried again',
    file: 'src/compaction/job-files.ts',
    changes: [
      [
        'if (ahead?.bytes !== file.size) await file.sync()',
        'if (ahead?.bytes !== file.size) await file.sync().catch(() => file.sync())',
      ],
    ],
    tests: [FAULTS],
  },
  {
    what: 'a torn record at the end of a log is accepted',
    file: 'src/record/record-reader.ts',
    changes: [
      [
        'if (!isRecordSound(bytes, start, length, seed, this.#records++ < RARE_RECORDS)) {',
        'if (at + length < this.size && !isRecordSound(bytes, start, length, seed, false)) {',
      ],
    ],
    tests: ['test/record/record-reader.test.ts', WAL, ...CRASH],
  },
  {
    what: 'rot in the middle of a log is cut off like a torn tail',
    file: 'src/wal/wal-reader.ts',
    changes: [
      [
        'if (damage?.isRot === true || this.#options.cleanEnd !== undefined) {',
        'if (damage?.isRot === true && this.#options.cleanEnd !== undefined) {',
      ],
    ],
    tests: [WAL, FLIPS],
  },
  {
    what: 'a new log is synced without its directory entry',
    file: 'src/wal/wal-writer.ts',
    changes: [
      [
        'if (isFirst) await allDone([file.sync(), this.#fs.syncDirectory(this.#directory)])',
        'if (isFirst) await file.sync()',
      ],
    ],
    tests: [WAL_WRITER, ...CRASH],
  },
  {
    what: 'a log becomes durable before the one it continues',
    file: 'src/wal/wal-writer.ts',
    changes: [['      await this.#previous.sync()\n', '']],
    tests: [WAL_WRITER, ...CRASH],
  },
  {
    what: 'after a refused write the log is not cut back',
    file: 'src/wal/wal-writer.ts',
    changes: [
      ['    if (file.size !== this.#size) file.truncate(this.#size)\n', ''],
      ['      this.#truncateAtOnce()\n', ''],
    ],
    tests: [WAL_WRITER, FULL_DISK],
  },
  {
    what: 'what was refused stays in the memtable',
    file: 'src/write/commit-pipeline.ts',
    changes: [['      memtable.truncate(start)\n', '']],
    tests: [FULL_DISK, FAULTS],
  },
  {
    what: 'an I/O error of the log does not poison the store',
    file: 'src/write/commit-pipeline.ts',
    changes: [
      [
        "if (error.code !== 'VARVE_NO_SPACE') {\n      refuse()\n      this.#hooks.onPoisoned(error)",
        "if (error.code !== 'VARVE_NO_SPACE') {\n      refuse()",
      ],
    ],
    tests: [FAULTS],
  },
  {
    what: 'an edit is appended behind one that was refused',
    file: 'src/version/version-set.ts',
    changes: [
      [
        'return this.mayEndTorn || this.#writer!.size > bytesMax',
        'return this.#writer === undefined || this.#writer.size > bytesMax',
      ],
    ],
    tests: [VERSIONS, FULL_DISK],
  },
  {
    what: 'files are deleted while an old version has them',
    file: 'src/version/file-lifetimes.ts',
    changes: [
      [
        'if (holder !== undefined && holder >= file.addedIn) {',
        'if (holder !== undefined && holder > Infinity) {',
      ],
    ],
    tests: [VERSIONS, ...CRASH],
  },
  {
    what: 'what is written while a sync runs counts as durable with it',
    file: 'src/write/durability.ts',
    changes: [['this.#logsAreBehind ? Math.min(target, latestSeqno) : latestSeqno', 'latestSeqno']],
    tests: CRASH,
  },
  {
    what: 'a batch that the log took is acknowledged before it is synced',
    file: 'src/write/acknowledgement.ts',
    changes: [['    if (commit.sync) {\n', '    if (commit.sync && seqno < 0) {\n']],
    tests: CRASH,
  },
  {
    what: 'the memory of a batch that still waits is given to the next one',
    file: 'src/db/writer.ts',
    changes: [['    if (!this.#pipeline.isEmpty) return undefined\n', '']],
    tests: ['test/db/batch-memory.test.ts'],
  },
  {
    what: 'a flush beside another one does not wait for its own writes',
    file: 'src/db/engine.ts',
    changes: [
      [
        '    // Also where another flush, which waited beside this one, has sealed it.\n    await this.#maintenance.flushSealed(target)\n',
        '',
      ],
    ],
    tests: ['test/db/regression-flushes-side-by-side.test.ts'],
  },
  {
    what: 'a repair puts the floor below a hole',
    file: 'src/db/repair.ts',
    changes: [
      [
        'const floor = Math.max(state.floor, Math.min(lastLost, last) + 1)',
        'const floor = Math.max(state.floor, Math.min(lastLost, last))',
      ],
    ],
    tests: ['test/db/repair.test.ts'],
  },
  {
    what: 'an open scan does not hold what it has still to read',
    file: 'src/db/floor-keeper.ts',
    changes: [['return Math.min(this.floor, this.#options.holds.lowest())', 'return this.floor']],
    tests: ['test/db/stream.test.ts', MODEL],
  },
  {
    what: 'history expires together with the event at the floor',
    file: 'src/compaction/picker.ts',
    changes: [
      [
        'if (meta.maxEventSeqno >= input.dropFloor ||',
        'if (meta.maxEventSeqno > input.dropFloor ||',
      ],
    ],
    tests: ['test/compaction/picker.test.ts', MODEL],
  },
  {
    what: 'a compaction drops the superseded event at the floor',
    file: 'src/compaction/entry-sorter.ts',
    changes: [
      ['const isEvent = seqno >= this.#dropFloor &&', 'const isEvent = seqno > this.#dropFloor &&'],
    ],
    tests: ['test/compaction/entry-sorter.test.ts', MODEL],
  },
  {
    what: 'a compaction drops the superseded operand at the floor',
    file: 'src/compaction/version-fates.ts',
    changes: [['this.seqno[i]! >= dropFloor', 'this.seqno[i]! > dropFloor']],
    tests: ['test/compaction/entry-sorter.test.ts', MODEL],
  },
  {
    what: 'a flush loses the range tombstone at the floor',
    file: 'src/compaction/flush-job.ts',
    changes: [
      [
        'if (seqno >= dropFloor) retired.add(ordinal)',
        'if (seqno > dropFloor) retired.add(ordinal)',
      ],
    ],
    tests: ['test/compaction/jobs.test.ts', MODEL],
  },
  {
    what: 'events of a dropped keyspace are lost with it',
    file: 'src/db/flusher.ts',
    changes: [
      [
        'if (meta.events > 0 && meta.maxEventSeqno >= dropFloor) {',
        'if (meta.events > 0 && meta.maxEventSeqno >= Infinity) {',
      ],
    ],
    tests: ['test/db/keyspaces.test.ts', MODEL],
  },
  {
    what: 'times follow a clock that is set back',
    file: 'src/write/commit-pipeline.ts',
    changes: [['commit.timeMs ?? Math.max(this.#lastTimeMs, now)', 'commit.timeMs ?? now']],
    tests: [MODEL],
  },
  {
    what: "seqnoAt gives the next time's first commit",
    file: 'src/cdc/seqno-at.ts',
    changes: [
      [
        'if ((await commitInSegments(view, middle)).timeMs < timestampMs)',
        'if ((await commitInSegments(view, middle)).timeMs <= timestampMs)',
      ],
    ],
    tests: ['test/cdc/seqno-at.test.ts', MODEL],
  },
  {
    what: 'a token beyond the end of its epoch is accepted',
    file: 'src/cdc/resume-token.ts',
    changes: [
      ['? Math.min(epochEnd(home, epochId)!, home.latest)', '? Infinity'],
      [': epochEnd(home, epochId)!', ': Infinity'],
    ],
    tests: ['test/cdc/resume-token.test.ts', MODEL],
  },
  {
    what: 'a durable tail delivers what is only committed',
    file: 'src/cdc/tail.ts',
    changes: [["this.#isDurable = follow.visibility === 'durable'", 'this.#isDurable = false']],
    tests: ['test/cdc/tail.test.ts', MODEL],
  },
  {
    what: 'events in memory are taken whatever became of their segments',
    file: 'src/cdc/event-page.ts',
    changes: [['if (list === this.#goodFor) return true', 'if (list !== undefined) return true']],
    tests: ['test/cdc/event-pages.test.ts'],
  },
  {
    what: 'events in memory give out their own bytes',
    file: 'src/cdc/event-bytes.ts',
    changes: [
      [
        '    if (start >= this.#start && end <= this.#end) return\n',
        '    if (this.#source !== undefined) {\n      this.#memory = this.#source.buffer\n      this.#shift = this.#source.byteOffset\n      return\n    }\n',
      ],
    ],
    tests: ['test/cdc/event-pages.test.ts'],
  },
  {
    what: 'a page of events that a scan cut off is taken for a whole one',
    file: 'src/cdc/event-pages.ts',
    changes: [['seqno >= page.first && seqno <= page.last', 'seqno <= page.last']],
    tests: ['test/cdc/event-pages.test.ts'],
  },
  {
    what: 'a neighbour is put where one before the last key was put',
    file: 'src/memtable/radix-tree.ts',
    changes: [['    this.#lastRoot = 0\n', '']],
    tests: ['test/memtable/key-neighbours.test.ts'],
  },
  {
    what: 'a neighbour is put where another keyspace had its last key',
    file: 'src/memtable/radix-tree.ts',
    changes: [['root === this.#lastRoot &&', 'this.#lastRoot !== 0 &&']],
    tests: ['test/memtable/key-neighbours.test.ts'],
  },
  {
    what: 'keys count as neighbours by their last bytes',
    file: 'src/base/bytes.ts',
    changes: [
      ['  while (i > 0) {\n    i--\n    if (view', '  while (i < 0) {\n    i--\n    if (view'],
    ],
    tests: ['test/memtable/key-neighbours.test.ts'],
  },
  {
    what: 'a block in the form of the log gives away what is no history',
    file: 'src/segment/log-block.ts',
    changes: [
      [
        'isEntry = (bytes[bitsAt + (operation >>> 3)]! & (1 << (operation & 7))) !== 0',
        'isEntry = true',
      ],
    ],
    tests: [LOG_BLOCKS],
  },
  {
    what: 'a stretch of the log that begins within a commit takes it for a whole one',
    file: 'src/compaction/log-stretches.ts',
    changes: [
      [
        'block.leading = commits.first[commitId]! + commits.size[commitId]! - block.firstSeqno',
        'block.leading = commits.size[commitId]!',
      ],
    ],
    tests: [LOG_BLOCKS],
  },
  {
    what: 'an ack in a batch is forgotten by a flush',
    file: 'src/cdc/consumer-ledger.ts',
    changes: [
      ['of marks) entry.synced(next, timeMs)', 'of marks) entry.synced(0, timeMs ?? next)'],
    ],
    tests: ['test/cdc/consumers.test.ts'],
  },
  {
    what: 'blobs that only history references are deleted',
    file: 'src/compaction/blob-picker.ts',
    changes: [['  yield* files.history\n', '']],
    tests: ['test/compaction/picker.test.ts', 'test/db/collection.test.ts', MODEL],
  },
  {
    what: "a dropped keyspace's level 0 stops writers",
    file: 'src/db/compactor.ts',
    changes: [
      [
        'keyspaces.byId(id)?.isDropped !== true || files.levels.every(({ length }) => length === 0)',
        'keyspaces.byId(id) !== undefined || files.levels.length > 0',
      ],
    ],
    tests: ['test/db/bounded-disk.test.ts'],
  },
  {
    what: 'a filtered scan leaves out a segment that ends at the first wanted key',
    file: 'src/cdc/change-filter.ts',
    changes: [
      [
        'compareBytes(lastKey, 0, lastKey.length, lower, 0, lower.length) >= 0',
        'compareBytes(lastKey, 0, lastKey.length, lower, 0, lower.length) > 0',
      ],
    ],
    tests: ['test/cdc/scan.test.ts'],
  },
  {
    what: 'a scan holds what it has read already',
    file: 'src/cdc/scan.ts',
    changes: [['this.#hold?.advance(reader.position)', 'this.#hold?.advance(this.#hold.position)']],
    tests: ['test/cdc/scan.test.ts'],
  },
  {
    what: 'a scan that has ended still listens to its signal',
    file: 'src/cdc/scan.ts',
    changes: [
      ['    this.#unwatch?.()\n    this.#unwatch = undefined\n', '    this.#unwatch = undefined\n'],
    ],
    tests: ['test/cdc/scan.test.ts'],
  },
  {
    what: 'an ack that the power may take back keeps a consumer from being lost',
    file: 'src/cdc/consumers.ts',
    changes: [['entry.durablePosition >= floor) continue', 'entry.position >= floor) continue']],
    tests: ['test/cdc/consumers.test.ts'],
  },
  {
    what: 'a bloom filter forgets its first keys when it grows',
    file: 'src/segment/bloom-filter.ts',
    changes: [['      hashes.set(this.#hashes)\n', '']],
    tests: ['test/segment/bloom-filter.test.ts'],
  },
  {
    what: 'the cover of a segment ends where its last range delete does',
    file: 'src/segment/segment-tally.ts',
    changes: [['compare(end, this.#coverEnd) > 0', 'compare(end, this.#coverEnd) !== 0']],
    tests: ['test/segment/segment-tally.test.ts'],
  },
  {
    what: 'verify believes what the manifest says of a segment',
    file: 'src/segment/segment-verify.ts',
    changes: [
      ['if (!isSame(value, expected)) {', "if (name === 'entries' && !isSame(value, expected)) {"],
    ],
    tests: ['test/segment/segment-verify.test.ts'],
  },
  {
    what: 'of two spans with the same end the one that does not hold it counts',
    file: 'src/compaction/key-span.ts',
    changes: [
      [
        'Number(a.isUpperIncluded) - Number(b.isUpperIncluded)',
        'Number(b.isUpperIncluded) - Number(a.isUpperIncluded)',
      ],
    ],
    tests: ['test/compaction/key-span.test.ts'],
  },
  {
    what: 'history is merged across the boundary of a band',
    file: 'src/compaction/history-picker.ts',
    changes: [['    if (band !== bandOf(input.bands, meta.maxEventSeqno)) continue\n', '']],
    tests: ['test/compaction/picker.test.ts'],
  },
  {
    what: 'writers go on with one sealed memtable more than may wait',
    file: 'src/db/backpressure.ts',
    changes: [
      [
        'sealedMemtables().length >= SEALED_MEMTABLES_MAX',
        'sealedMemtables().length > SEALED_MEMTABLES_MAX',
      ],
    ],
    tests: ['test/db/backpressure.test.ts'],
  },
  {
    what: 'a checkpoint has what a power cut may take from its store',
    file: 'src/db/checkpoint.ts',
    changes: [['      await source.sync()\n', '']],
    tests: ['test/db/checkpoint.test.ts'],
  },
  {
    what: 'a log of another store is taken for one of its own',
    file: 'src/wal/wal-chain.ts',
    changes: [['header: header.logId === log.logId ? header : undefined', 'header']],
    tests: [WAL],
  },
  {
    what: 'a missing log is forgiven where only the log after the next proves that it was durable',
    file: 'src/wal/wal-chain.ts',
    changes: [
      [
        'if (isLost || detached.has(link.number)) detached.add(number)',
        'if (isLost) detached.add(number)',
      ],
    ],
    tests: [WAL],
  },
  {
    what: 'a repair puts in a commit of which half is in segments',
    file: 'src/wal/wal-salvage.ts',
    changes: [['if (commit.first < next || isHalf) continue', 'if (commit.first < next) continue']],
    tests: ['test/wal/wal-salvage.test.ts'],
  },
  {
    what: 'inputs taken over: a copy is live where no manifest says otherwise',
    file: 'src/db/manifest-rebuild.ts',
    changes: [[' || origin?.isHistory === true', '']],
    tests: ['test/db/repair-takeover.test.ts'],
  },
  {
    what: 'inputs taken over: outputs of a job that did not come to its end count',
    file: 'src/db/job-survey.ts',
    changes: [['      left.add(meta.number)\n', '      left.delete(meta.number)\n']],
    tests: ['test/db/repair-takeover.test.ts'],
  },
  {
    what: 'inputs taken over: the last file is ended before the others are synced',
    file: 'src/compaction/takeover.ts',
    changes: [
      [
        'for (const one of others) this.#finish(one)\n    yield* this.#sink.settle()\n',
        'for (const one of others) this.#finish(one)\n',
      ],
    ],
    tests: ['test/compaction/takeover.test.ts'],
  },
  {
    what: 'inputs taken over: one that crosses a band',
    file: 'src/compaction/takeover-choice.ts',
    changes: [
      [
        ' &&\n    bandOf(job.bands, meta.minEventSeqno) === bandOf(job.bands, meta.maxEventSeqno)',
        ' &&\n    bandOf(job.bands, 0) === 0',
      ],
    ],
    tests: ['test/compaction/takeover.test.ts'],
  },
  {
    what: 'a column walk gives what range deletes hide',
    file: 'src/read/range-reader.ts',
    changes: [
      [
        'const isUsual = !range.reverse && cover === undefined && memtables.length === 0',
        'const isUsual = !range.reverse && memtables.length === 0',
      ],
    ],
    tests: ['test/db/walked-ranges.test.ts'],
  },
  {
    what: 'a repair tells of no state that is gone with a segment, where the manifest is damaged too',
    file: 'src/db/repair.ts',
    changes: [
      [
        'for (const one of vanished) if (!isReplaced(one, adopted)) segments.lose(one.meta, one.level)',
        '',
      ],
    ],
    tests: ['test/db/repair-reports.test.ts'],
  },
  {
    what: 'a repair takes the end of a log for lost although segments go on behind it',
    file: 'src/db/repair.ts',
    changes: [['if (this.#isEndLost && last === replayed.lastSeqno) {', 'if (this.#isEndLost) {']],
    tests: ['test/db/repair-reports.test.ts'],
  },
  {
    what: 'a segment that a repair rewrites loses its range deletes',
    file: 'src/db/segment-repair.ts',
    changes: [['if (ranges.count > 0) writer.addRangeFragments(ranges)', '']],
    tests: ['test/db/repair-reports.test.ts'],
  },
  {
    what: 'verify takes good files for a whole stream',
    file: 'src/db/verify.ts',
    changes: [['if (this.#report.problems.length === 0) await this.#stream()', '']],
    tests: ['test/db/verify.test.ts'],
  },
  {
    what: 'a checkpoint goes into a directory that another one has filled meanwhile',
    file: 'src/db/checkpoint.ts',
    changes: [['  try {\n    ensureEmpty(fs, directory, location)\n', '  try {\n']],
    tests: ['test/db/checkpoint.test.ts'],
  },
]
