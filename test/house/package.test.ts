import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const root = path.resolve(import.meta.dirname, '../..')

function readText(name: string): string {
  return fs.readFileSync(path.join(root, name), 'utf8')
}

test('no lock file names download addresses, so that any registry serves', () => {
  for (const name of ['package-lock.json', 'bench/package-lock.json', 'tools/package-lock.json']) {
    expect(readText(name), name).not.toMatch(/"resolved":|https?:\/\/[^"]*\.tgz/)
  }
})

test('every dependency is pinned exactly', () => {
  const { dependencies, devDependencies } = JSON.parse(readText('package.json'))
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+$/)
  }
})

test('the package carries its licence and changelog', () => {
  expect(readText('LICENSE')).toMatch(/Apache License\s+Version 2\.0, January 2004/)
  expect(readText('LICENSE')).toMatch(/END OF TERMS AND CONDITIONS/)
  expect(readText('CHANGELOG.md')).toMatch(/^## Unreleased$/m)
})
