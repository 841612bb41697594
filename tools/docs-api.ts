/**
 * `npm run docs:api`: writes the API reference from the docstrings of what `varve` and `varve/testing` export, to docs/api (or the
 * folder that is named). Fails on anything public that has no docstring, on links that lead nowhere, and on types that are used and not exported.
 *
 * The fields of an object type that is written out where it is used are described there, as a whole.
 */
import { join, resolve } from 'node:path'
import { installTools, loadTool } from './install.ts'

/** The little of typedoc that is used here; it is installed on demand, so its own types are not at hand. */
interface Reflection {
  readonly kind: number
  readonly name: string
  readonly parent?: Reflection
  readonly flags: { readonly isExternal: boolean }
  readonly signatures?: readonly Reflection[]
  readonly getSignature?: Reflection
  hasComment(): boolean
  getFriendlyFullName(): string
}
interface Project extends Reflection {
  getReflectionsByKind(kind: number): readonly Reflection[]
}
interface Application {
  readonly logger: { hasErrors(): boolean; hasWarnings(): boolean }
  convert(): Promise<Project | undefined>
  validate(project: Project): void
  generateOutputs(project: Project): Promise<void>
}
interface TypeDoc {
  readonly Application: { bootstrapWithPlugins(options: object): Promise<Application> }
  readonly ReflectionKind: Readonly<Record<string, number>>
}

const ROOT = resolve(import.meta.dirname, '..')

/** Kinds of things that must say what they are. */
const DOCUMENTED = [
  'Class',
  'Interface',
  'TypeAlias',
  'Function',
  'Variable',
  'Property',
  'Method',
  'Accessor',
]

async function main(out: string): Promise<number> {
  const reason = installTools()
  if (reason !== undefined) {
    console.error(reason)
    return 1
  }
  const { Application, ReflectionKind } = await loadTool<TypeDoc>('typedoc')
  const app = await Application.bootstrapWithPlugins({
    entryPoints: ['src/index.ts', 'src/testing/index.ts'].map((file) => join(ROOT, file)),
    tsconfig: join(ROOT, 'tools', 'tsconfig.api.json'),
    name: 'Varve',
    readme: 'none',
    out,
    excludePrivate: true,
    excludeInternal: true,
    disableGit: true,
    disableSources: true,
    logLevel: 'Warn',
    validation: { notExported: true, invalidLink: true, notDocumented: false },
  })
  const project = await app.convert()
  if (project === undefined) return 1
  app.validate(project)
  const kinds = DOCUMENTED.reduce((all, kind) => all | ReflectionKind[kind]!, 0)
  const literal = ReflectionKind['TypeLiteral']!
  const mute = project
    .getReflectionsByKind(kinds)
    .filter((reflection) => !isDocumented(reflection) && !isInside(reflection, literal))
    .map((reflection) => reflection.getFriendlyFullName())
  for (const name of mute) console.error(`${name} has no docstring`)
  if (mute.length > 0 || app.logger.hasErrors() || app.logger.hasWarnings()) return 1
  await app.generateOutputs(project)
  console.log(`The API reference is in ${out}.`)
  return app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0
}

/** A method's docstring is its signature's. What an Error or an iterator has anyway is not ours to describe. */
function isDocumented(reflection: Reflection): boolean {
  const { signatures = [], getSignature, flags } = reflection
  if (flags.isExternal) return true
  return [reflection, getSignature, ...signatures].some((each) => each?.hasComment() === true)
}

function isInside(reflection: Reflection, kind: number): boolean {
  for (let parent = reflection.parent; parent !== undefined; parent = parent.parent) {
    if (parent.kind === kind) return true
  }
  return false
}

process.exitCode = await main(resolve(process.argv[2] ?? join(ROOT, 'docs', 'api')))
