// Run as a process or worker of its own by directory-lock.test.ts: takes the lock on a directory, says how that went, and
// waits until it is told to end.
import { parentPort, workerData } from 'node:worker_threads'
import { createNodeFileSystem } from '../../src/env/node-file-system.ts'

const directory: string = parentPort === null ? process.argv[2]! : workerData.directory

const answer = await createNodeFileSystem()
  .lock(directory)
  .then(
    () => 'locked',
    (error: Error & { code?: string }) => error.code ?? error.message,
  )

if (parentPort === null) {
  process.stdout.write(`${answer}\n`)
  process.stdin.resume()
} else {
  parentPort.postMessage(answer)
  parentPort.on('message', () => {})
}
