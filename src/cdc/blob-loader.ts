/**
 * Reads the values of a batch that live in blob files: in file order, a few at a time, only when they are handed out. The
 * batch's byte limit bounds what is read at once.
 */
import { corruption } from '../base/errors.ts'
import { blobFileName } from '../env/file-names.ts'
import type { ChangeBatchBuilder } from './change-batch.ts'
import { setValue } from './change-event.ts'
import type { ChangeView } from './change-source.ts'
import type { ScanTally } from './scan-tally.ts'

const READS_AT_ONCE = 8

export class BlobLoader {
  readonly #tally: ScanTally

  constructor(tally: ScanTally) {
    this.#tally = tally
  }

  /** Fills in every pending value of the batch. */
  async load(view: ChangeView, batch: ChangeBatchBuilder): Promise<void> {
    const pending = batch.blobs
    batch.blobs = []
    pending.sort(
      (a, b) => a.location.file - b.location.file || a.location.offset - b.location.offset,
    )
    for (let i = 0; i < pending.length; i += READS_AT_ONCE) {
      const group = pending.slice(i, i + READS_AT_ONCE)
      await Promise.all(
        group.map(async ({ event, location }) => {
          const blobs = view.blob(location.file)
          if (blobs === undefined) {
            throw corruption('A value refers to a blob file that is not part of the store', {
              file: blobFileName(location.file),
              seqno: event.seqno,
            })
          }
          const value =
            view.isDiskFast === true ? blobs.readSync(location) : await blobs.read(location)
          setValue(event, value)
          this.#tally.bytesRead += location.length
        }),
      )
    }
  }
}
