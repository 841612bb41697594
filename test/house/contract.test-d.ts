/**
 * A test for the compiler: what `varve` and `varve/testing` export is what test/contract/ declares, both ways, for every
 * member that is named there. More may be exported; a file system's methods, in particular, are our own to design.
 *
 * Where something differs, the assignments at the end fail and the message lists it: 'OpenOptions: sync' is a member that is
 * missing or of another type, '(modifiers)' one that is optional or readonly on one side only.
 */
import type * as ours from '../../src/index.ts'
import type * as oursTesting from '../../src/testing/index.ts'
import type * as contract from '../contract/varve.d.ts'
import type * as contractTesting from '../contract/testing.d.ts'

// A class with private members is only itself: the contract's is made one of ours, so that the two can be compared at all.
// This alone fails where a member of the contract's class does not fit into ours.
declare module '../contract/varve.d.ts' {
  interface FileSystem extends OurFileSystem {}
  interface Varve extends OurVarve {}
}
declare module '../contract/testing.d.ts' {
  interface MemoryFileSystem extends OurMemoryFileSystem {}
  interface ManualClock extends OurManualClock {}
}
type OurFileSystem = ours.FileSystem
type OurVarve = ours.Varve
type OurMemoryFileSystem = oursTesting.MemoryFileSystem
type OurManualClock = oursTesting.ManualClock

/** Exported names with members, each [ours, the contract's]. */
interface Shapes {
  OpenOptions: [ours.OpenOptions, contract.OpenOptions]
  KeyspaceOptions: [ours.KeyspaceOptions, contract.KeyspaceOptions]
  WriteOptions: [ours.WriteOptions, contract.WriteOptions]
  ReadOptions: [ours.ReadOptions, contract.ReadOptions]
  RangeOptions: [ours.RangeOptions, contract.RangeOptions]
  Keyspace: [ours.Keyspace, contract.Keyspace]
  Cursor: [ours.Cursor<Buffer>, contract.Cursor<Buffer>]
  Snapshot: [ours.Snapshot, contract.Snapshot]
  Batch: [ours.Batch, contract.Batch]
  CommitInfo: [ours.CommitInfo, contract.CommitInfo]
  Varve: [ours.Varve, contract.Varve]
  'typeof Varve': [Statics<typeof ours.Varve>, Statics<typeof contract.Varve>]
  StoreEvents: [ours.StoreEvents, contract.StoreEvents]
  Insert: [ours.Insert, contract.Insert]
  MergeOperand: [ours.MergeOperand, contract.MergeOperand]
  PointTombstone: [ours.PointTombstone, contract.PointTombstone]
  RangeTombstone: [ours.RangeTombstone, contract.RangeTombstone]
  ChangeFilter: [ours.ChangeFilter, contract.ChangeFilter]
  ScanOptions: [ours.ScanOptions, contract.ScanOptions]
  ChangeScan: [ours.ChangeScan, contract.ChangeScan]
  ScanStats: [ours.ScanStats, contract.ScanStats]
  TailOptions: [ours.TailOptions, contract.TailOptions]
  ChangeBatch: [ours.ChangeBatch, contract.ChangeBatch]
  ChangeTail: [ours.ChangeTail, contract.ChangeTail]
  ConsumerOptions: [ours.ConsumerOptions, contract.ConsumerOptions]
  Consumer: [ours.Consumer, contract.Consumer]
  ConsumerInfo: [ours.ConsumerInfo, contract.ConsumerInfo]
  HistoryInfo: [ours.HistoryInfo, contract.HistoryInfo]
  ApplyOptions: [ours.ApplyOptions, contract.ApplyOptions]
  MergeOperator: [ours.MergeOperator, contract.MergeOperator]
  mergeOperators: [typeof ours.mergeOperators, typeof contract.mergeOperators]
  VerifyReport: [ours.VerifyReport, contract.VerifyReport]
  RepairReport: [ours.RepairReport, contract.RepairReport]
  StoreStats: [ours.StoreStats, contract.StoreStats]
  VarveError: [ours.VarveError, contract.VarveError]
  Environment: [ours.Environment, contract.Environment]
  FileSystem: [ours.FileSystem, contract.FileSystem]
  MemoryFileSystem: [oursTesting.MemoryFileSystem, contractTesting.MemoryFileSystem]
  ManualClock: [oursTesting.ManualClock, contractTesting.ManualClock]
}

/** Those that are compared as a whole. */
interface Types {
  Seqno: [ours.Seqno, contract.Seqno]
  BytesLike: [ours.BytesLike, contract.BytesLike]
  HistoryPolicy: [ours.HistoryPolicy, contract.HistoryPolicy]
  ChangeEvent: [ours.ChangeEvent, contract.ChangeEvent]
  ResumeToken: [ours.ResumeToken, contract.ResumeToken]
  replicate: [typeof ours.replicate, typeof contract.replicate]
  encodeCounter: [typeof ours.encodeCounter, typeof contract.encodeCounter]
  decodeCounter: [typeof ours.decodeCounter, typeof contract.decodeCounter]
  VarveErrorCode: [ours.VarveErrorCode, contract.VarveErrorCode]
  'new MemoryFileSystem': [
    ConstructorParameters<typeof oursTesting.MemoryFileSystem>,
    ConstructorParameters<typeof contractTesting.MemoryFileSystem>,
  ]
  'new ManualClock': [
    ConstructorParameters<typeof oursTesting.ManualClock>,
    ConstructorParameters<typeof contractTesting.ManualClock>,
  ]
}

/** Stores are opened, not constructed: the contract's class only seems to have a constructor. */
type Statics<T> = Omit<T, 'prototype'>

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false

/**
 * Methods are compared by hand: the compiler would take their parameters for the same when either fits the other. It would
 * also take two objects for the same whose optional properties have other names, hence the keys.
 */
type SameMember<A, B> =
  NonNullable<B> extends (...parameters: infer BP) => infer BR
    ? NonNullable<A> extends (...parameters: infer AP) => infer AR
      ? Every<[Same<AP, BP>, Same<AR, BR>, HasKeys<AP[number], BP[number]>]>
      : false
    : Every<[Same<A, B>, HasKeys<A, B>]>

type Every<T extends boolean[]> = T extends true[] ? true : false

type HasKeys<A, B> = [Exclude<KeysOf<B>, KeysOf<A>>] extends [never] ? true : false

/** Of every plain object in the union. */
type KeysOf<T> = T extends object ? (T extends Uint8Array ? never : keyof T) : never

type Modifiers<T> = { [K in keyof T]: 0 }

type Identical<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

type DifferingMember<A, B> = {
  [K in keyof B]-?: K extends keyof A ? (SameMember<A[K], B[K]> extends true ? never : K) : K
}[keyof B]

type Difference<A, B> = [DifferingMember<A, B>] extends [never]
  ? Identical<Modifiers<Pick<A, keyof A & keyof B>>, Modifiers<B>> extends true
    ? Same<A, B> extends true
      ? never
      : '(type)'
    : '(modifiers)'
  : Extract<DifferingMember<A, B>, string>

type WrongShapes = {
  [N in keyof Shapes]: `${N}: ${Difference<Shapes[N][0], Shapes[N][1]>}`
}[keyof Shapes]

type WrongTypes = {
  [N in keyof Types]: SameMember<Types[N][0], Types[N][1]> extends true ? never : N
}[keyof Types]

/** Empty when all is as it should be. */
export const agreedShapes: Record<WrongShapes, never> = {}
export const agreedTypes: Record<WrongTypes, never> = {}
