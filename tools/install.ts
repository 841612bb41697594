/**
 * The tools of this folder: what cannot stand beside the TypeScript that compiles the package. typedoc works on the
 * JavaScript API of an older one, and types are also checked with the oldest one that we support.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const FOLDER: string = import.meta.dirname
const INSTALL_MS_MAX = 180_000

/** Folder of an installed package of tools/. */
export function toolFolder(name: string): string {
  return join(FOLDER, 'node_modules', name)
}

/** Loads one of them; it is not installed with the package, so that its own types are not at hand. */
export async function loadTool<T>(name: string): Promise<T> {
  const require = createRequire(join(FOLDER, 'package.json'))
  return (await import(pathToFileURL(require.resolve(name)).href)) as T
}

/** Installs what the lock file names, when that was not done since it changed. Returns why it cannot be done. */
export function installTools(): string | undefined {
  const mark = join(FOLDER, 'node_modules', '.package-lock.json')
  const lock = join(FOLDER, 'package-lock.json')
  if (existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs) return undefined
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, stderr, error } = spawnSync('npm', ['ci', ...flags], {
    cwd: FOLDER,
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
    shell: process.platform === 'win32',
  })
  if (status === 0) return undefined
  return `the tools cannot be installed: ${error?.message ?? stderr.trim()}`
}
