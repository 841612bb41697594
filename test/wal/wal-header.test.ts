import { expect, test } from 'vitest'
import { encodeWalHeader, isHeaderAlone } from '../../src/wal/wal-header.ts'

const previous = { number: 7, bytes: 1000, checksum: 0xffffffff, isDurable: true }

test.each(['', '8d1f03aa', 'ä'.repeat(40)])(
  'the size of a log tells that it holds its header alone: id %j',
  (logId) => {
    const sizes = [undefined, previous].map(
      (link) => encodeWalHeader({ logId, previous: link }).length,
    )
    const alone = Array.from({ length: 400 }, (_, bytes) => bytes).filter((bytes) =>
      isHeaderAlone(bytes, logId),
    )
    expect(alone).toEqual(sizes)
  },
)
