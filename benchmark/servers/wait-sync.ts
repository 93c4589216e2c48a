// The model, on a thread of its own that sleeps in waitSync().

import { readSync } from 'node:fs'
import process from 'node:process'

import type { Event } from 'm-socket'

import { answer } from './support/control.js'
import { multiplexer, port, serve } from './support/model.js'

// Node's loop does not run here: stdin is one more descriptor.
const stdin = { fd: 0 }
const line = Buffer.alloc(64)
multiplexer.add(stdin, 'r')
console.log(`port ${port}`)

const events: Event[] = []
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
