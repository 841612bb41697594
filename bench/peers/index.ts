import { betterSqlite3 } from './better-sqlite3.ts'
import { classicLevel } from './classic-level.ts'
import { lmdb } from './lmdb.ts'
import { rocksdb } from './rocksdb.ts'
import type { Engine } from './store.ts'
import { varve } from './varve.ts'

export const engines: readonly Engine[] = [varve, classicLevel, lmdb, betterSqlite3, rocksdb]

export function engineNamed(name: string): Engine {
  const engine = engines.find((candidate) => candidate.name === name)
  if (engine === undefined) throw new Error(`no engine is named ${name}`)
  return engine
}
