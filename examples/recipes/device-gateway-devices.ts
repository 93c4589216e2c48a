// Plays devices: node device-gateway-devices.ts PORT COUNT

import process from 'node:process'

import { type Connection, connect } from 'm-socket'

/** Connects at once, and milliseconds between two PINGs. */
const [AT_ONCE, PERIOD] = [200, 60_000]

const [port = 7000, count = 100] = process.argv.slice(2).map(Number)
const devices: Connection[] = []
let next = 0
let turn = 0

// A reset, or the end of the gateway, is the end of the device.
const socket = { data: answer, error: () => {} }
await Promise.all(Array.from({ length: AT_ONCE }, connectSome))
console.log(`${devices.length} devices are connected`)
// One timer for all: each device has its turn once in a period, and they are spread over it.
setInterval(pingSome, PERIOD / 1000)

async function connectSome(): Promise<void> {
  while (next < count) {
    const id = `device-${next++}`
    const device = await connect({ host: '127.0.0.1', port, socket })
    device.write(`HELLO ${id}\n`)
    devices.push(device)
  }
}

function pingSome(): void {
  for (let sent = 0; sent < count / 1000; sent++) devices[turn++ % count]!.write('PING\n')
}

/** A command comes in one piece: it is short, and nothing else is sent at the time but PONG. */
function answer(device: Connection, chunk: Buffer): void {
  for (const line of chunk.toString().split('\n')) if (line.startsWith('CMD ')) device.write(`ACK ${line.slice(4)}\n`)
}
