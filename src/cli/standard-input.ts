import { type Encoding, parsePiped } from './encoding.ts'

/** A value or operand that is not given as an argument: everything that stands on stdin, in the encoding for values. */
export async function readStandardInput(encoding: Encoding, what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return parsePiped(Buffer.concat(chunks), encoding, what)
}
