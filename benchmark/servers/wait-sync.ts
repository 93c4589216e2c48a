// The model with waitSync(), which blocks the thread.

import { readSync } from 'node:fs'
import process from 'node:process'

import type { ReadyEvent } from 'm-socket'

import { answer } from './support/control.js'
import { multiplexer, port, serve } from './support/model.js'

// The event loop of Node does not run here, so stdin is added as a descriptor.
const stdin = { fd: 0 }
const line = Buffer.alloc(64)
multiplexer.add(stdin, 'r')
console.log(`port ${port}`)

const events: ReadyEvent[] = []
for (;;) {
  for (const event of multiplexer.waitSync(Infinity, events)) {
    if (event.target === stdin) reply()
    else serve(event)
  }
}

function reply(): void {
  const count = readSync(0, line)
  if (count === 0) process.exit()
  for (const text of line.toString('utf8', 0, count).trim().split('\n')) console.log(answer(text))
}
