/**
 * Other runtimes than the one that runs the tests: newer versions of Node.js, and Bun. They come as npm packages that hold nothing
 * but the binary, are large (90 to 190 MB), and are therefore installed on demand into node_modules/.cache.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { ROOT } from '../cli/built-package.ts'

export interface Runtime {
  readonly name: string
  readonly version: string
  /** The package for this platform, and its binary. */
  readonly package: string
  readonly binary: string
}

const NODE_VERSIONS = ['22.23.3', '24.21.0']
const BUN_VERSION = '1.3.14'
const INSTALL_MS_MAX = 180_000

export function runtimes(): Runtime[] {
  const { platform, arch } = process
  const os = platform === 'win32' ? 'win' : platform
  const exe = platform === 'win32' ? '.exe' : ''
  const node = NODE_VERSIONS.map((version) => ({
    name: `Node.js ${version.split('.')[0]}`,
    version,
    package: `node-${os}-${arch}`,
    binary: `bin/node${exe}`,
  }))
  // The baseline build of Bun runs on every x64 processor.
  const bunArch = arch === 'arm64' ? 'aarch64' : `${arch}-baseline`
  const bunOs = platform === 'win32' ? 'windows' : platform
  const bun = {
    name: 'Bun',
    version: BUN_VERSION,
    package: `@oven/bun-${bunOs}-${bunArch}`,
    binary: `bin/bun${exe}`,
  }
  return [...node, bun]
}

/** Path of the runtime's binary, or why there is none: no such package for this platform, no registry to ask. */
export function installed(runtime: Runtime): { command: string } | { reason: string } {
  const name = `${runtime.package.replaceAll('/', '-')}-${runtime.version}`
  const folder = path.join(ROOT, 'node_modules', '.cache', 'varve-runtimes', name)
  const command = path.join(folder, 'node_modules', runtime.package, runtime.binary)
  if (!fs.existsSync(command)) {
    const reason = install(runtime, folder)
    if (reason !== undefined) return { reason }
  }
  const { status, error } = spawnSync(command, ['--version'], { stdio: 'pipe' })
  if (status === 0) return { command }
  return { reason: `${command} does not run here: ${error?.message ?? `exit code ${status}`}` }
}

function install(runtime: Runtime, folder: string): string | undefined {
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }')
  const what = `${runtime.package}@${runtime.version}`
  // Whole packages only: what an install script might fetch from elsewhere is not wanted.
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status, stderr } = spawnSync('npm', ['install', ...flags, what], {
    cwd: folder,
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
    shell: process.platform === 'win32',
  })
  if (status === 0) return undefined
  fs.rmSync(folder, { recursive: true, force: true })
  return `${what} cannot be installed: ${stderr?.trim().split('\n')[0] ?? `exit code ${status}`}`
}
