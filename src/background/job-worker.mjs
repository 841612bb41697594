// Starts job-worker.ts from its source, under a test runner or tsx: Node 20 does not load .ts into a worker by itself.
// The built package has job-worker.js and does not need this file.
import { register } from 'tsx/esm/api'

register()
await import(new URL('./job-worker.ts', import.meta.url).href)
