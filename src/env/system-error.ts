/**
 * Errors that look like those of the operating system, for where the system is ours: the file system in memory, and uses of
 * a file that is closed. See disk-errors.ts for what is made of them.
 */

const MESSAGES: Readonly<Record<string, string>> = {
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
  EMFILE: 'too many open files',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  EPERM: 'operation not permitted',
}

export type SystemError = Error & {
  readonly code: string
  readonly syscall: string
  readonly path: string
}

/** An error that looks like the one Node throws when `syscall` fails on `path`. */
export function systemError(
  code: string,
  syscall: string,
  path: string,
  message: string = MESSAGES[code] ?? 'operation failed',
): SystemError {
  const error = new Error(`${code}: ${message}, ${syscall} '${path}'`)
  return Object.assign(error, { code, syscall, path })
}
