import { sampleCrashes } from './sample.ts'

sampleCrashes(1)
