/** On what a run was made: without it a figure says nothing. */
import { spawnSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { peerVersion } from '../peers/load-peer.ts'
import { projectFolder } from './build.ts'

export interface Machine {
  readonly cpu: string
  readonly cpuCount: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  readonly fileSystem: string
}

export interface Commit {
  readonly hash: string
  /** Files of src/ or bench/ differ from the commit. */
  readonly isDirty: boolean
}

const PEERS = ['classic-level', 'lmdb', 'better-sqlite3', 'rocksdb']

export function describeMachine(dataFolder: string): Machine {
  const all = cpus()
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cpuCount: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    fileSystem: fileSystemName(dataFolder),
  }
}

/** Peer -> version; a peer that does not load on this machine is left out. */
export function peerVersions(): Record<string, string> {
  const versions: Record<string, string> = {}
  for (const peer of PEERS) {
    const version = peerVersion(peer)
    if (version !== undefined) versions[peer] = version
  }
  return versions
}

export function describeCommit(): Commit {
  const git = (...args: string[]): string => {
    const result = spawnSync('git', args, { cwd: projectFolder, encoding: 'utf8' })
    return result.status === 0 ? result.stdout.trim() : ''
  }
  return {
    hash: git('rev-parse', '--short=12', 'HEAD') || 'unknown',
    isDirty: git('status', '--porcelain', '--', 'src', 'bench') !== '',
  }
}

/** Magic numbers of statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlay',
  0x2fc12fc1: 'zfs',
}

function fileSystemName(folder: string): string {
  const { type } = statfsSync(folder)
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`
}
