// The same program for all streams: sockets of node:net, and ours with toDuplex.

import type { Duplex } from 'node:stream'

import { has, mode } from './control.js'

const pipes = has('--pipe')

export function serve(stream: Duplex): void {
  stream.on('error', () => stream.destroy())
  if (mode === 'sink') count(stream)
  else if (pipes) stream.pipe(stream)
  else echo(stream)
}

function echo(stream: Duplex): void {
  stream.on('data', (chunk: Buffer) => {
    if (!stream.write(chunk)) stream.pause()
  })
  stream.on('drain', () => stream.resume())
  stream.on('end', () => stream.end())
}

function count(stream: Duplex): void {
  let received = 0
  stream.on('data', (chunk: Buffer) => (received += chunk.length))
  stream.on('end', () => stream.end(String(received)))
}
