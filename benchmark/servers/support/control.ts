// What every contender that runs JavaScript has in common: it says its port, and answers the lines of its stdin.

import process from 'node:process'

/** What the program is to do: `echo`, or `sink`: count what comes, and answer the end with the count. */
export const mode = process.argv.includes('sink') ? 'sink' : 'echo'

/** Options of the contender, as `--borrowed`. */
export function has(option: string): boolean {
  return process.argv.includes(option)
}

/** The answer to a line: `usage`, or `gc`: the same after a collection. */
export function answer(line: string): string {
  if (line === 'gc') (globalThis as { gc?: () => void }).gc?.()
  const { heapUsed } = process.memoryUsage()
  return JSON.stringify({ heapUsed })
}

/** Answers until stdin ends, which ends the program. */
export function announce(port: number): void {
  console.log(`port ${port}`)
  process.stdin
    .setEncoding('utf8')
    .on('data', (lines: string) => {
      for (const line of lines.trim().split('\n')) console.log(answer(line))
    })
    .on('end', () => process.exit())
}
