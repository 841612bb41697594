/**
 * Loads a peer from bench/node_modules.
 *
 * The specifier is not a literal, so that the package's types compile and its checks run where the peers are not
 * installed; each adapter declares the few methods that it calls.
 */
import { createRequire } from 'node:module'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder that holds bench/package.json, seen from bench/peers or from bench/dist/bench/peers. */
export function benchFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

export function loadPeer<T>(name: string): T {
  return createRequire(join(benchFolder(), 'package.json'))(name) as T
}

/** Version of an installed peer; undefined where it is not there or does not load on this machine. */
export function peerVersion(name: string): string | undefined {
  try {
    loadPeer(name)
    // Read as a file: not every package exports its package.json.
    const path = join(benchFolder(), 'node_modules', name, 'package.json')
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
  } catch {
    // Not built for this platform: the tables leave it out and say so.
    return undefined
  }
}
