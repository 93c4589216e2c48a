// The load of bulk over TLS, by Node's own client: as the load generator with --steps. `bulk` sends to the server,
// which answers the end with the number of bytes; `fetch` sends a number and its end, and receives as many bytes.

import process from 'node:process'
import { type ConnectionOptions, connect } from 'node:tls'
import { parseArgs } from 'node:util'

import { pattern } from './support/pattern.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string' },
    bytes: { type: 'string' },
    warmup: { type: 'string' },
    steps: { type: 'boolean' },
  },
})
const fetches = positionals[0] === 'fetch'
const bytes = Number(values.bytes)
const block = pattern()

const port = Number(values.port)
// @types/node lacks allowHalfOpen.
const options: ConnectionOptions & { allowHalfOpen: boolean } = {
  host: '127.0.0.1',
  port,
  rejectUnauthorized: false,
  allowHalfOpen: true,
}
const socket = connect(options)
let started = 0n
let cpu = process.cpuUsage()
let received = 0
let answer = ''
let isWrong = false

socket.on('error', report)
socket.once('secureConnect', () => {
  console.log('ready')
  process.stdin.once('data', begin)
  process.stdin.once('end', () => process.exit())
})

function begin(): void {
  started = process.hrtime.bigint()
  cpu = process.cpuUsage()
  socket.on('data', fetches ? check : (chunk: Buffer) => (answer += chunk.toString()))
  socket.on('end', () => report())
  if (fetches) socket.end(String(bytes))
  else send(bytes)
}

function check(chunk: Buffer): void {
  for (let at = 0; at < chunk.length;) {
    const from = (received + at) % block.length
    const length = Math.min(chunk.length - at, block.length - from)
    if (block.compare(chunk, at, at + length, from, from + length) !== 0) isWrong = true
    at += length
  }
  received += chunk.length
}

function send(total: number): void {
  let left = total
  while (left > 0) {
    const piece = left < block.length ? block.subarray(0, left) : block
    left -= piece.length
    if (!socket.write(piece)) return void socket.once('drain', () => send(left))
  }
  socket.end()
}

function report(error?: Error): void {
  const { user, system } = process.cpuUsage(cpu)
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const isGood = !error && !isWrong && (fetches ? received : Number(answer)) === bytes
  const firstError = isGood ? null : (error?.message ?? `${fetches ? received : answer} bytes, not ${bytes}`)
  const latency = { p50: seconds * 1e6, p99: seconds * 1e6, max: seconds * 1e6 }
  console.log(
    JSON.stringify({
      operations: 1,
      bytes,
      errors: isGood ? 0 : 1,
      firstError,
      seconds,
      latency,
      cpu: { user, system },
    }),
  )
  socket.destroy()
}
