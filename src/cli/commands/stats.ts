import fs from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import type { StoreStats } from '../../db/stats.ts'
import type { Varve } from '../../db/varve.ts'
import { parseFileName } from '../../env/file-names.ts'
import type { KeyspaceFiles, Version } from '../../version/version.ts'
import { printableName } from '../encoding.ts'
import { examples } from '../examples.ts'
import { type Axis, drawLayers, type Layer } from '../layer-picture.ts'
import { addOperatorsOption, type StoreChoice } from '../shared-options.ts'
import { loadVersion, withReader } from '../store-access.ts'
import type { Terminal } from '../terminal.ts'
import { amountText, bytesText, countText } from '../words.ts'

interface Choice extends StoreChoice {
  readonly json?: boolean
}

const PICTURE_WIDTH = 48

export function addStats(program: Command, terminal: Terminal): void {
  const command = program
    .command('stats <dir>')
    .description('What the store holds: its layers with their seqno ranges, sizes, keyspaces.')
    .option('--json', 'as JSON')
  addOperatorsOption(command)
    .addHelpText(
      'after',
      examples(
        ['varve stats ./store', 'the layers of each keyspace, drawn over the seqnos'],
        ['varve stats ./store --json | jq .keyspaces.default.levels', 'for programs'],
      ),
    )
    .action((location: string, choice: Choice) =>
      withReader(location, choice, async (store) => {
        if (choice.json === true) {
          const stats = statsOf(location, store)
          return terminal.json({ location, role: store.role, ...stats })
        }
        return printStats(location, store, terminal)
      }),
    )
}

/** The layers of every keyspace, drawn over the seqnos. */
export async function printStats(
  location: string,
  store: Varve,
  terminal: Terminal,
): Promise<void> {
  const version = await loadVersion(location)
  const stats = statsOf(location, store)
  const { floor, latest } = store.history()
  const segments = version.segments()
  const segmentBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0)
  await terminal.line(
    `${terminal.bold(location)}  ${store.role}, latest ${countText(latest)}, floor ${countText(floor)}`,
  )
  await terminal.line(
    `segments ${segments.length}, ${bytesText(segmentBytes)}; ` +
      `blobs ${stats.blobs.files}, ${bytesText(stats.blobs.bytes)} ` +
      `(${bytesText(stats.blobs.liveBytes)} live); ` +
      `log ${stats.wal.files}, ${bytesText(stats.wal.bytes)}`,
  )
  const axis = { first: 1, last: Math.max(latest, 1) }
  for (const { id, name, options, droppedAt } of version.state.keyspaces) {
    const operator = options.mergeOperator
    const about = [
      ...(operator === undefined ? [] : [`merge operator ${printableName(operator)}`]),
      ...(droppedAt === undefined ? [] : [`dropped at ${countText(droppedAt)}`]),
    ]
    const ruler = rulerOf(axis)
    const title = `keyspace ${terminal.bold(printableName(name))}`
    await terminal.line('')
    await terminal.line(about.length === 0 ? title : `${title}, ${about.join(', ')}`)
    const layers = layersOf(version.files(id), memtableOf(store, version))
    const nameWidth = Math.max(...layers.map((layer) => layer.name.length))
    await terminal.line(terminal.dim(`  ${''.padEnd(nameWidth)}  ${ruler}`))
    for (const row of drawLayers(layers, axis, PICTURE_WIDTH)) await terminal.line(row)
  }
}

/** The log is read by its writer: a reader knows of it only what stands in the directory. */
function statsOf(location: string, store: Varve): StoreStats {
  return { ...store.stats(), wal: logsIn(location) }
}

function rulerOf(axis: Axis): string {
  const first = countText(axis.first)
  return `${first}${countText(axis.last).padStart(PICTURE_WIDTH - first.length)}`
}

function layersOf(files: KeyspaceFiles, memtable: Layer): Layer[] {
  const layers = [memtable]
  for (const [level, segments] of files.levels.entries()) {
    if (segments.length === 0) continue
    layers.push({ name: `L${level}`, segments, note: noteOf(segments) })
  }
  if (files.history.length > 0) {
    layers.push({ name: 'history', segments: files.history, note: noteOf(files.history) })
  }
  return layers
}

/** All keyspaces share it: what is not in segments yet is in memory. */
function memtableOf(store: Varve, version: Version): Layer {
  const { latestSeqno } = store.stats()
  const minSeqno = version.state.lastFlushedSeqno + 1
  const isEmpty = minSeqno > latestSeqno
  return {
    name: 'memtable',
    segments: isEmpty ? [] : [{ minSeqno, maxSeqno: latestSeqno }],
    note: isEmpty
      ? 'empty'
      : `${amountText(latestSeqno - minSeqno + 1, 'event')}, of all keyspaces`,
  }
}

function noteOf(segments: KeyspaceFiles['history']): string {
  let bytes = 0
  let entries = 0
  for (const meta of segments) {
    bytes += meta.bytes
    entries += meta.entries
  }
  const files = amountText(segments.length, 'segment')
  return `${files}, ${amountText(entries, 'entry', 'entries')}, ${bytesText(bytes)}`
}

function logsIn(location: string): { files: number; bytes: number } {
  const logs = fs.readdirSync(location).filter((name) => parseFileName(name)?.type === 'wal')
  let bytes = 0
  for (const name of logs) {
    bytes += fs.statSync(path.join(location, name), { throwIfNoEntry: false })?.size ?? 0
  }
  return { files: logs.length, bytes }
}
