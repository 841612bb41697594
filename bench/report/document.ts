/** Writes docs/benchmarks.md with its plots, and the table in the README, from the figures of a run. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectFolder } from '../harness/build.ts'
import type { Results } from '../harness/results.ts'
import { engines } from '../peers/index.ts'
import { MAIN_GROUPS } from '../workloads/index.ts'
import { formatCount } from './format.ts'
import { writeGeneratedPart } from './generated-part.ts'
import { markdownTable } from './markdown.ts'
import { plotsOf } from './plots.ts'
import { skippingTables } from './skipping-tables.ts'
import { summaryTable } from './summary-table.ts'
import { cpusTitle, engineTable, figureTable, type Table, verdictTable } from './tables.ts'

const PLOTS = 'benchmarks'

/** Gives the path of the document. */
export function writeDocument(results: Results): string {
  const docs = join(projectFolder, 'docs')
  const path = join(docs, 'benchmarks.md')
  mkdirSync(join(docs, PLOTS), { recursive: true })
  for (const plot of plotsOf(results)) writeFileSync(join(docs, PLOTS, plot.fileName), plot.svg)
  writeGeneratedPart(path, sections(results).join('\n\n'))
  const summary = summaryTable(results)
  if (summary !== undefined) {
    writeGeneratedPart(join(projectFolder, 'README.md'), markdownTable(summary))
  }
  return path
}

const SKIPPING_NOTE =
  '"time" is that of a scan whose blocks no other has read before it (the store keeps nothing in its cache; the file system does), and so are ' +
  'the columns from "first event" on, and the plots; "again" is that of the scans after it in one process, with default settings.'

function sections(results: Results): string[] {
  const cpuCounts = [...new Set(results.cells.map((cell) => cell.cpus))].toSorted((a, b) => a - b)
  const plots = plotsOf(results).map((plot) => `![${plot.caption}](${PLOTS}/${plot.fileName})`)
  return [
    '## The run',
    provenance(results),
    '## Targets',
    'A ratio above 1 says that Varve does more in the same time, or needs less. Compared are default settings.',
    markdownTable(verdictTable(results)),
    '## Figures',
    ...plots.filter((plot) => !plot.includes('since-')),
    ...cpuCounts.flatMap((cpus) => [
      `### ${capitalized(cpusTitle(cpus))}`,
      tableOrNote(figureTable(results, cpus, MAIN_GROUPS)),
    ]),
    '## Asking for the last changes',
    SKIPPING_NOTE,
    ...plots.filter((plot) => plot.includes('since-')),
    ...skippingTables(results).flatMap((table) => [`### ${table.title}`, markdownTable(table)]),
    "## The engine's own measurements",
    tableOrNote(engineTable(results)),
    '## Settings of the engines',
    profilesText(),
  ]
}

function provenance({ command, commit, machine, peers, settings, startedAt }: Results): string {
  const versions = Object.entries(peers).map(([name, version]) => `${name} ${version}`)
  const dirty = commit.isDirty ? ' with uncommitted changes' : ''
  return [
    `- Command: \`${command}\`, ${startedAt.slice(0, 10)}, commit ${commit.hash}${dirty}`,
    `- Machine: ${machine.cpu}, ${machine.cpuCount} CPUs, ${machine.memoryGiB} GiB, ${machine.system}, ${machine.fileSystem}, Node ${machine.node}`,
    `- Peers: ${versions.join(', ')}`,
    `- ${formatCount(settings.entries)} entries of 16 + 100 bytes (half compressible), ${settings.rounds} interleaved rounds, each measurement in a process of its own; medians, ± half the distance of the extremes.${settings.clock === 'cpu' ? ' Rates are by CPU time: the machine was busy with other things.' : ''} Everything read is compared with what was written.`,
  ].join('\n')
}

function tableOrNote(table: Table): string {
  return table.rows.length === 0 ? 'Not part of this run.' : markdownTable(table)
}

function profilesText(): string {
  return engines
    .flatMap(({ name, profiles }) =>
      Object.entries(profiles).map(([profile, text]) => {
        const subject = profile === 'default' ? name : `${name}:${profile}`
        return `- \`${subject}\`: ${text}`
      }),
    )
    .join('\n')
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
