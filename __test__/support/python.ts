import { spawnSync } from 'node:child_process'

/** From here on a program's own descriptors stand where `runPython` puts those that it hands over. */
const FIRST_FD = 3

/**
 * Runs a Python program to its end, and returns what it printed. Meanwhile this thread stands still. The descriptors
 * become its 3, 4 and so on: the same open files, which it can use under our eyes.
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

/** The expression by which such a program names the socket that was handed over as its `index`th. */
export function inherited(index = 0): string {
  return `socket.socket(fileno=${FIRST_FD + index})`
}
