import { spawnSync } from 'node:child_process'

/** The first descriptor after the standard streams: `runPython` passes its descriptors from here on. */
const FIRST_FD = 3

/**
 * Runs a Python program to its end and returns its output; this thread is blocked meanwhile. The descriptors become its
 * descriptors 3, 4 and so on, and refer to the same open files.
 */
export function runPython(source: string, ...fds: readonly number[]): string {
  const { status, stdout, stderr, error } = spawnSync('python3', ['-c', source], {
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
    encoding: 'utf8',
  })
  if (error) throw error
  if (status !== 0) throw new Error(stderr)
  return stdout
}

/** The Python expression for the socket that was passed at `index`. */
export function inherited(index = 0): string {
  return `socket.socket(fileno=${FIRST_FD + index})`
}
