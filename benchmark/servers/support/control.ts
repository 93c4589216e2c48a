// Shared by all contenders in JavaScript: print the port, and answer the lines of stdin.

import process from 'node:process'

/**
 * `echo`; or `sink`: count the received bytes, and answer the end with the count; or `source`: answer the end with as
 * many bytes as the received number says.
 */
export const mode = has('sink') ? 'sink' : has('source') ? 'source' : 'echo'

/** Whether an option of the contender is given, for example `--borrowed`. */
export function has(option: string): boolean {
  return process.argv.includes(option)
}

/** The answer to a line: `usage` gives the size of the heap; `gc` collects garbage first. */
export function answer(line: string): string {
  if (line === 'gc') (globalThis as { gc?: () => void }).gc?.()
  const { heapUsed } = process.memoryUsage()
  return JSON.stringify({ heapUsed })
}

/** Prints the port, then answers lines until stdin ends, which ends the program. */
export function announce(port: number): void {
  console.log(`port ${port}`)
  process.stdin
    .setEncoding('utf8')
    .on('data', (lines: string) => {
      for (const line of lines.trim().split('\n')) console.log(answer(line))
    })
    .on('end', () => process.exit())
}
