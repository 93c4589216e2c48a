// An echo server on port 5003, and a live table of its connections with what the kernel knows of them: TCP_INFO. Keys:
// < and > (or arrows) choose the column to sort by, r reverses, q quits. Without a terminal, lines are printed each second.

import process from 'node:process'

import { type Connection, type TcpInfo, listen } from 'm-socket'

import { serve } from './cli.js'
import { Screen, hasTerminal } from './screen.js'
import { type Column, type Order, short, tableOf } from './table.js'

/** Milliseconds between two pictures, and to end gracefully. */
const [INTERVAL, GRACE] = [1000, 900]

/** What is left to be sent back. */
type Echo = Connection<Buffer | undefined>

interface Row {
  readonly connection: Echo
  /** Undefined while a closed connection's queue is sent. */
  readonly info: TcpInfo | undefined
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'PEER', width: 22, of: ({ connection }) => `${connection.remoteAddress}:${connection.remotePort}` },
  { title: 'RTT ms', width: 8, of: ({ info }) => info?.rtt ?? NaN, show: (rtt) => (rtt / 1000).toFixed(2) },
  { title: 'CWND', width: 6, of: ({ info }) => info?.sendCwnd ?? NaN },
  { title: 'RETRANS', width: 8, of: ({ info }) => info?.totalRetrans ?? NaN },
  // What the kernel has not taken, and what it has taken and not sent.
  { title: 'QUEUE', width: 6, of: ({ connection, info }) => queueOf(connection, info), show: short },
  { title: 'READ', width: 6, of: ({ connection }) => connection.bytesRead, show: short },
  { title: 'WRITTEN', width: 8, of: ({ connection }) => connection.bytesWritten, show: short },
]

const order: Order = { by: 4, isReversed: false }
const server = serve('top', 5003, (address) =>
  listen<Buffer | undefined>({ ...address, socket: { data: echo, drain } }),
)
const place = `${server.host}:${server.port}`
const screen = hasTerminal ? new Screen(linesOf, onKey) : undefined
const timer = setInterval(() => (screen ? screen.draw() : print()), INTERVAL)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)

/** A peer that does not read is not read from. */
function echo(connection: Echo, bytes: Buffer): void {
  const taken = connection.write(bytes)
  if (taken < 0 || taken === bytes.length) return
  connection.data = bytes.subarray(taken)
  connection.pause()
}

function drain(connection: Echo): void {
  connection.resume()
  echo(connection, connection.data!)
}

function linesOf(width: number, height: number): string[] {
  const { open, accepted, failed, bytesRead, bytesWritten } = server.stats()
  const counts = `${open} open, ${accepted} accepted, ${failed} failed, ${short(bytesRead)} in, ${short(bytesWritten)} out`
  const [head, ...rows] = tableOf([...server.clients].map(rowOf), COLUMNS, order)
  const room = Math.max(0, height - 2)
  const shown = rows.length <= room ? rows : [...rows.slice(0, room - 1), `and ${rows.length - room + 1} more`]
  const lines = [`${place}: ${counts}`, head!.padEnd(width), ...shown].map((line) => line.slice(0, width))
  // The head is in reverse video.
  lines[1] = `\x1b[7m${lines[1]}\x1b[27m`
  return lines.slice(0, height)
}

function rowOf(connection: Echo): Row {
  const isOpen = connection.state === 'open'
  return { connection, info: isOpen ? connection.socket!.info() : undefined }
}

function queueOf({ socket }: Echo, info: TcpInfo | undefined): number {
  return socket!.queued + (info?.notSentBytes || 0)
}

function onKey(key: string): void {
  if (key === 'q' || key === '\x03') return end()
  if (key === 'r') order.isReversed = !order.isReversed
  const step = key === '>' || key === '\x1b[C' ? 1 : key === '<' || key === '\x1b[D' ? -1 : 0
  order.by = (order.by + step + COLUMNS.length) % COLUMNS.length
  screen!.draw()
}

function print(): void {
  const lines = tableOf([...server.clients].map(rowOf), COLUMNS, order)
  if (lines.length > 1) console.log(lines.join('\n'))
}

function end(): void {
  clearInterval(timer)
  screen?.close()
  void server.close({ end: true, timeout: GRACE })
}
