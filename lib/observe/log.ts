import { debuglog } from 'node:util'

const write = debuglog('m-socket')

/** Whether NODE_DEBUG has m-socket. Bun's debuglog() does not say whether it is enabled. */
export const isLogging: boolean = write.enabled ?? /\bm-socket\b/.test(process.env['NODE_DEBUG'] ?? '')

/** Writes a line to the standard error. The caller asks {@link isLogging} first, before it puts the line together. */
export function logLine(text: string): void {
  write('%s', text)
}
