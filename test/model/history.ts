/**
 * One random history from beginning to end, with everything compared on the way and after a reopen and a full compaction. Answers
 * how many segments are then history as a compaction found them.
 */
import type { HistoryPolicy } from '../../src/index.ts'
import { readSegmentFooter } from '../../src/segment/opened-segment.ts'
import type { MemoryFileSystem } from '../../src/testing/index.ts'
import { checkFiles } from '../crash/check-crash.ts'
import { Driver } from './driver.ts'
import type { Step } from './steps.ts'

export async function playHistory(
  history: HistoryPolicy,
  steps: readonly Step[],
  onStep: (index: number) => void = () => undefined,
): Promise<{ copies: number }> {
  const driver = new Driver({
    open: { history },
    tuning: { levelRatio: 3, level0Trigger: 2, baseLevelBytes: 24 * 1024 },
  })
  await driver.open()
  try {
    for (const [index, step] of steps.entries()) {
      onStep(index)
      await driver.playAndCheck(step)
    }
    onStep(steps.length)
    await driver.checkAll()
    await driver.play({ op: 'reopen' })
    await driver.checkAll()
    await driver.play({ op: 'compactAll' })
    await driver.checkAll()
    await driver.letGo()
    await checkFiles(driver.store, driver.fs)
    return { copies: copiesIn(driver.fs) }
  } finally {
    await driver.close()
  }
}

/** Segments that compactions took over as history, as their footers say. */
function copiesIn(fs: MemoryFileSystem): number {
  let copies = 0
  for (const path of fs.files().keys()) {
    if (!path.endsWith('.seg')) continue
    const file = fs.openRead(path)
    try {
      if (readSegmentFooter(file).origin?.isHistory === true) copies++
    } finally {
      file.close()
    }
  }
  return copies
}
