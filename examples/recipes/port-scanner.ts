// Finds the open TCP ports of a host of yours: node port-scanner.ts HOST FIRST LAST

import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import process from 'node:process'

import { connect } from 'm-socket'

/** Connects at once, and milliseconds until a port that does not answer counts as filtered. */
const [AT_ONCE, PATIENCE] = [1000, 2000]
/** Descriptors for all else in the process. */
const RESERVE = 64

const [name, first, last] = [process.argv[2], Number(process.argv[3] ?? 1), Number(process.argv[4] ?? 65_535)]
if (!name || !(first >= 1 && first <= last && last <= 65_535)) throw new RangeError('port-scanner HOST [FIRST [LAST]]')
const found = { open: 0, closed: 0, filtered: 0 }

// Once for all ports, and before descriptors are scarce.
const { address: host } = await lookup(name)
const began = performance.now()
const ports = range(first, last)
const workers = Math.min(AT_ONCE, descriptorLimit() - RESERVE, last - first + 1)
// All take the next port from one iterator, so that a slow port delays no other.
await Promise.all(Array.from({ length: workers }, () => scan(ports)))
const seconds = ((performance.now() - began) / 1000).toFixed(1)
console.log(`${host}: ${found.open} open, ${found.closed} closed, ${found.filtered} filtered in ${seconds} s`)

async function scan(ports: Iterable<number>): Promise<void> {
  for (const port of ports) {
    const state = await stateOf(port)
    found[state]++
    if (state === 'open') console.log(`${port} open`)
  }
}

async function stateOf(port: number): Promise<keyof typeof found> {
  try {
    const connection = await connect({ host, port, connectTimeout: PATIENCE })
    // By RST: our port is free at once, and no connection is left in TIME_WAIT.
    connection.terminate()
    return 'open'
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ECONNREFUSED') return 'closed'
    if (code === 'ETIMEDOUT' || code === 'EHOSTUNREACH' || code === 'EACCES') return 'filtered'
    throw error
  }
}

function* range(from: number, to: number): Generator<number> {
  for (let port = from; port <= to; port++) yield port
}

/** The soft limit, as `ulimit -n` shows it. */
function descriptorLimit(): number {
  return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 1024)
}
