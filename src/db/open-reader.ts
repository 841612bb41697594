/**
 * Opens a store for reading only, also beside a running writer: changes no file, takes no lock, starts no epoch.
 *
 * It sees what the writer had handed to the operating system at the open or the last refresh; see `store-image.ts`. Parts are
 * given callbacks that look at the image in force, as those of a writable store are (`writer-assembly.ts`).
 */
import { settled } from '../base/settled.ts'
import { EventPages } from '../cdc/event-pages.ts'
import { bytesBetween } from '../cdc/history-policy.ts'
import { ReadScratch } from '../read/read-scratch.ts'
import { SnapshotRegistry } from '../version/snapshot-registry.ts'
import { Changes } from './changes.ts'
import { Health } from './health.ts'
import { DEFAULT_KEYSPACE_ID, KeyspaceDirectory } from './keyspace-directory.ts'
import { KeyspaceRegistry, keyspaceStateOf } from './keyspace-registry.ts'
import type { OpenContext } from './open-store.ts'
import { checkRole } from './options.ts'
import { PinnedSource } from './pinned-source.ts'
import { ScanHolds } from './scan-holds.ts'
import { StoreCounters } from './stats.ts'
import { Store } from './store.ts'
import { StoreEmitter } from './store-events.ts'
import { ImageLoader, scaleOf, type StoreImage } from './store-image.ts'
import { ViewCache } from './view-cache.ts'
import { readOnlyError } from './writer.ts'

export async function openReader(context: OpenContext): Promise<Store> {
  const snapshots = new SnapshotRegistry()
  const loader = new ImageLoader(context, () => snapshots.seqnos)
  const image = await loader.load()
  checkRole(context.options.role, image.version.state.role)
  return new ReaderAssembly(context, { snapshots, loader, image }).store
}

class ReaderAssembly {
  readonly store: Store
  readonly #context: OpenContext
  readonly #snapshots: SnapshotRegistry
  readonly #loader: ImageLoader
  #image: StoreImage
  #generation = 0
  #reloading: Promise<void> = Promise.resolve()
  readonly #keyspaces: KeyspaceDirectory = new KeyspaceDirectory()
  readonly #health: Health
  readonly #views: ViewCache
  readonly #changes: Changes

  constructor(
    context: OpenContext,
    parts: { snapshots: SnapshotRegistry; loader: ImageLoader; image: StoreImage },
  ) {
    this.#context = context
    this.#snapshots = parts.snapshots
    this.#loader = parts.loader
    this.#image = parts.image
    this.#keyspaceUpdate(parts.image)()
    this.#health = new Health({ onPoisoned: () => undefined, onBackgroundError: () => undefined })
    this.#views = this.#makeViews()
    this.#changes = this.#makeChanges()
    this.#adopt()
    this.store = this.#makeStore()
  }

  #latest(): number {
    return this.#image.replayed.lastSeqno
  }

  #makeViews(): ViewCache {
    const { segments, files, blockCache } = this.#context
    return new ViewCache({
      memtables: {
        generation: () => this.#generation,
        list: () => this.#image.replayed.memtables,
      },
      currentVersion: () => this.#image.version,
      segments,
      files,
      scratch: new ReadScratch(),
      pages: new EventPages(blockCache),
    })
  }

  #makeChanges(): Changes {
    const { environment, timers, diagnostics, leaks } = this.#context
    const views = this.#views
    const health = this.#health
    const holds = new ScanHolds(leaks)
    const floor = (): number => this.#image.version.state.floor
    const scale = (): ReturnType<typeof scaleOf> => scaleOf(this.#image)
    const { version, replayed } = this.#image
    return new Changes(
      {
        storeId: () => this.#image.version.state.storeId,
        isWriter: () => false,
        latest: () => this.#latest(),
        durable: () => this.#latest(),
        status: () => health.phase,
        view: () => views.changeView(),
        keyspaceName: (id) => this.#keyspaces.byId(id)?.name ?? '',
        holds,
        scanSource: (store) => new PinnedSource(store, views, holds),
        scanBegan: (from) => diagnostics.scanBegan(from),
        floors: {
          get floor() {
            return floor()
          },
          get policyFloor() {
            return floor()
          },
          get scale() {
            return scale()
          },
        },
        timers,
        consumers: {
          writeAck: async () => refuse(),
          saveConsumers: async () => refuse(),
          consumersMoved: () => undefined,
          running: (call) => call(),
          whileFloorStands: async () => refuse(),
          now: () => environment.now(),
        },
      },
      { consumers: version.state.consumers, epochs: replayed.epochs },
    )
  }

  #makeStore(): Store {
    const { options, environment, diagnostics } = this.#context
    return new Store({
      location: this.#context.location,
      directory: this.#context.directory,
      environment,
      timers: this.#context.timers,
      fs: this.#context.fs,
      files: this.#context.files,
      blockCache: this.#context.blockCache,
      segments: this.#context.segments,
      lock: undefined,
      sync: options.sync,
      health: this.#health,
      events: new StoreEmitter(environment.logger, diagnostics),
      counters: new StoreCounters(),
      leaks: this.#context.leaks,
      keyspaces: this.#keyspaces,
      registry: new KeyspaceRegistry({
        keyspaces: this.#keyspaces,
        operators: options.operators,
        versions: undefined,
        ensureWritable: refuse,
        drained: () => Promise.resolve(),
        sync: () => Promise.resolve(),
        guarded: (run) => run(),
      }),
      defaultKeyspace: this.#keyspaces.byId(DEFAULT_KEYSPACE_ID)!,
      snapshots: this.#snapshots,
      views: this.#views,
      changes: this.#changes,
      engine: undefined,
      currentVersion: () => this.#image.version,
      latestSeqno: () => this.#latest(),
      durableSeqno: () => this.#latest(),
      reload: () => this.#reloadInTurn(),
      logs: () => this.#image.replayed.logs,
      manifest: () => ({ path: this.#image.manifest.path, mayBeTorn: true }),
      memtableBytes: () =>
        this.#image.replayed.memtables.reduce((sum, { bytesUsed }) => sum + bytesUsed, 0),
      retainedBytes: () => {
        const { floor } = this.#image.version.state
        const range = { from: floor, to: this.#latest() + 1 }
        return Math.round(bytesBetween(scaleOf(this.#image), range))
      },
      changeState: async () => refuse(),
      shutDown: () => this.#shutDown(),
    })
  }

  #reloadInTurn(): Promise<void> {
    const result = this.#reloading.then(() => this.#reload())
    this.#reloading = settled(result)
    return result
  }

  async #reload(): Promise<void> {
    const next = await this.#loadNext()
    const previous = this.#image.version
    let update: () => void
    try {
      update = this.#keyspaceUpdate(next)
    } catch (error) {
      if (next.version !== previous) next.version.release()
      throw error
    }
    this.#image = next
    this.#generation++
    update()
    this.#adopt()
    if (next.version !== previous) previous.release()
    this.#changes.feed.published()
  }

  /**
   * Memtables of the image in force grow meanwhile, and it is read at its own seqno. They tell range deletes apart only for snapshots
   * that are open.
   */
  async #loadNext(): Promise<StoreImage> {
    const seqno = this.#latest()
    this.#snapshots.acquire(seqno)
    try {
      return await this.#loader.load(this.#image)
    } finally {
      this.#snapshots.release(seqno)
    }
  }

  /** What change capture takes from a new image. */
  #adopt(): void {
    const { version, replayed } = this.#image
    const { ledger } = this.#changes
    this.#changes.epochs = replayed.epochs
    this.#changes.sourceToken = replayed.sourceToken
    ledger.reload(version.state.consumers)
    for (const ack of replayed.acks) ledger.replayAck(ack.consumer, ack.next, ack)
    ledger.settleAll()
  }

  /** Throws where an operator is not at hand; what it returns makes the keyspaces those of the image. */
  #keyspaceUpdate(image: StoreImage): () => void {
    const keyspaces = this.#keyspaces
    const found = image.version.state.keyspaces.map((record) =>
      keyspaceStateOf(record, this.#context.options, image.replayed.drops),
    )
    return () => {
      for (const state of found) {
        const known = keyspaces.byId(state.id)
        if (known === undefined) {
          keyspaces.add(state)
          if (state.isDropped) keyspaces.drop(state)
        } else if (state.isDropped) {
          known.droppedAt = state.droppedAt
          keyspaces.drop(known)
        } else {
          known.options = state.options
          known.operator = state.operator
        }
      }
    }
  }

  async #shutDown(): Promise<void> {
    const { runner, segments, files } = this.#context
    await this.#reloading
    await this.#changes.feed.drain()
    await runner.close()
    segments.close()
    files.close()
  }
}

function refuse(): never {
  throw readOnlyError('readOnly')
}
