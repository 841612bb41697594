/**
 * The frame around everything that is appended to a log: WAL commits and manifest edits.
 *
 * ```
 *  0  u32  checksum of bytes [4, length)
 *  4  u32  length of the whole record, this header included
 *  8  u32  number of the file it was written to (low 32 bits): a record of an older file in a reused sector is no record
 * 12  u32  checksum of the record before it in the file; 0 for the first
 * 16  u48  how many bytes of this file were known to be durable when it was written
 * 22  u16  record type
 * 24  payload
 * ```
 *
 * A reader that meets a bad record at offset p tells a torn tail from rot: when any good record behind it says that more than
 * p bytes were durable, p was damaged after it was synced; otherwise a power cut may have left it so.
 */

export const RECORD_HEADER_BYTES = 24

/** First record of a WAL file. */
export const RECORD_WAL_HEADER = 1
/** One commit: see batch/commit-record.ts. */
export const RECORD_COMMIT = 2
/** First record of a manifest. */
export const RECORD_MANIFEST_HEADER = 3
/** One version edit: see version/version-edit.ts. */
export const RECORD_VERSION_EDIT = 4
/** Header only. Carries nothing but its frame's count of durable bytes, so that rot in what stands before it is seen. */
export const RECORD_SYNC_MARK = 5
/** Types with this bit may be skipped by a reader that does not know them; any other unknown type is a newer format. */
export const RECORD_TYPE_IGNORABLE = 0x8000
/** In a manifest, behind its snapshot: the first edit of that once more. Only repair reads it. */
export const RECORD_STATE_COPY: number = RECORD_TYPE_IGNORABLE | 1
