// The same program for all streams: sockets of node:net and of m-socket/net, and TLS over both.

import type { Duplex } from 'node:stream'

import { has, mode } from './control.js'
import { pattern } from './pattern.js'

const pipes = has('--pipe')
const block = mode === 'source' ? pattern() : Buffer.alloc(0)

export function serve(stream: Duplex): void {
  stream.on('error', () => stream.destroy())
  if (mode === 'sink') count(stream)
  else if (mode === 'source') answer(stream)
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

function answer(stream: Duplex): void {
  let wanted = ''
  stream.on('data', (chunk: Buffer) => (wanted += chunk.toString()))
  stream.on('end', () => send(stream, Number(wanted)))
}

function send(stream: Duplex, bytes: number): void {
  let left = bytes
  while (left > 0) {
    const piece = left < block.length ? block.subarray(0, left) : block
    left -= piece.length
    if (!stream.write(piece)) return void stream.once('drain', () => send(stream, left))
  }
  stream.end()
}
