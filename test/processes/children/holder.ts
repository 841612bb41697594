/** Tries to open the store, says what came of it, and keeps it open until its input ends. */
import { engine } from './engine.ts'

try {
  const store = await engine.Varve.open(process.argv[2]!)
  await store.put(`pid ${process.pid}`, 'was here')
  console.log('open')
  process.stdin.resume()
  process.stdin.on('end', () => void store.close())
} catch (error) {
  console.log(error instanceof engine.VarveError ? error.code : String(error))
}
