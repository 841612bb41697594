/** Makes the benchmark runnable: peers installed, harness and engine compiled, so that what is measured is what users run. */
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { benchFolder } from '../peers/load-peer.ts'

export interface Build {
  /** Compiled child.js. */
  readonly childModule: string
  /** URL of the compiled engine. */
  readonly varveModule: string
  remove(): void
}

export const projectFolder: string = join(benchFolder(), '..')

/**
 * `npm install` in bench/, when it was not run since the lock file changed. Not `npm ci`: it refuses a lock file that lacks
 * optional packages for other platforms. The lock file is followed and stays as it is.
 */
export function installPeers(): void {
  const folder = benchFolder()
  const mark = join(folder, 'node_modules', '.package-lock.json')
  const lock = join(folder, 'package-lock.json')
  if (existsSync(mark) && statSync(mark).mtimeMs >= statSync(lock).mtimeMs) return
  process.stderr.write('installing the peers into bench/node_modules …\n')
  runCommand('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error'], folder)
}

export function buildBench(): Build {
  const folder = benchFolder()
  // Inside bench/, where the peers are found; of this process, so that two runs do not meet.
  const output = join(folder, 'dist', String(process.pid))
  compile(join(folder, 'tsconfig.json'), '--outDir', output)
  bundle(projectFolder, join(output, 'src'))
  return {
    childModule: join(output, 'bench', 'child.js'),
    varveModule: pathToFileURL(join(output, 'src', 'index.js')).href,
    remove: () => rmSync(output, { recursive: true, force: true }),
  }
}

/** Compiles the engine of another checkout; gives the URL of its module. */
export function buildEngine(checkout: string): string {
  compile(join(checkout, 'tsconfig.build.json'), '--noCheck')
  bundle(checkout, join(checkout, 'dist'))
  return pathToFileURL(join(checkout, 'dist', 'index.js')).href
}

/** As the package's build does; older checkouts lack some steps. The bundler is this checkout's: others have none installed. */
function bundle(checkout: string, output: string): void {
  for (const name of ['bundle-worker.mjs', 'bundle-library.mjs']) {
    const script = join('scripts', name)
    if (!existsSync(join(checkout, script))) continue
    runCommand(process.execPath, [join(projectFolder, script), output], projectFolder)
  }
}

function compile(project: string, ...flags: string[]): void {
  const tsc = join(projectFolder, 'node_modules', 'typescript', 'bin', 'tsc')
  runCommand(process.execPath, [tsc, '-p', project, ...flags], projectFolder)
}

export function runCommand(command: string, args: readonly string[], cwd: string): string {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (result.status === 0) return result.stdout
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`
  throw new Error(`${command} ${args.join(' ')} failed:\n${output}`, { cause: result.error })
}
