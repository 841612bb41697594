/** The package as it is published; its address comes from who started the process. */
export const engine: typeof import('../../../src/index.ts') = await import(
  process.env['VARVE_MODULE']!
)
