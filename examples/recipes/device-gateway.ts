// A gateway for devices that are mostly silent: node device-gateway.ts PORT CONTROL_PATH
import process from 'node:process'

import { type Connection, listen } from 'm-socket'

/** Milliseconds to say HELLO, and between two PINGs; bytes of a line. */
const [HELLO, SILENCE, LIMIT] = [10_000, 90_000, 512]
/** Its `data` is the id; '' until HELLO. */
type Device = Connection<string>

const devices = new Map<string, Device>()
/** Lines that have not ended yet. Few devices have one at a time, so that it is no field of each. */
const begun = new Map<Device, string>()
const [port = '7000', path = 'gateway.sock'] = process.argv.slice(2)
// When power returns, all devices come at once: the backlog has those that are not accepted yet.
const limits = { maxConnections: 20_000, backlog: 4096, sendQueueLimit: 4096, userTimeout: 30_000 }
const handlers = { open: (device: Device) => device.timeout(HELLO), data, close }
const gateway = listen<string>({ host: '127.0.0.1', port, ...limits, data: '', socket: handlers })
const control = listen({ path, mode: 0o600, unlink: true, socket: { open: operate, error: (it) => it.terminate() } })
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => [gateway, control].forEach((each) => each.close({ end: true, timeout: 2000 })))
console.log(`Listening on ${gateway.host} port ${gateway.port}`)

function data(device: Device, chunk: Buffer): void {
  const lines = ((begun.get(device) ?? '') + chunk.toString('latin1')).split('\n')
  const rest = lines.pop()!
  if (rest === '') begun.delete(device)
  else begun.set(device, rest)
  for (const line of lines) handle(device, line.split(' '))
  if (rest.length > LIMIT) device.terminate()
}

function handle(device: Device, [verb, id, ...text]: string[]): void {
  if (device.data !== '' && verb === 'PING') device.write('PONG\n')
  else if (device.data !== '' && verb === 'ACK') {
    for (const operator of control.clients)
      if (operator.socket!.queued < 32_768) operator.write(`${device.data}: ${[id, ...text].join(' ')}\n`)
  } else if (device.data === '' && verb === 'HELLO' && id) {
    devices.get(id)?.terminate() // the device has come again, and its last connection may be dead unnoticed
    devices.set((device.data = id), device)
    device.timeout(SILENCE)
  } else device.terminate()
}

function close(device: Device): void {
  begun.delete(device)
  if (devices.get(device.data) === device) devices.delete(device.data)
}

async function operate(operator: Connection): Promise<void> {
  for await (const line of operator.lines({ limit: LIMIT })) {
    const [verb, id = '', ...text] = line.split(' ')
    const device = devices.get(id)
    // A device that does not read gets no more: what waits for it stays small.
    const state = !device ? 'unknown' : device.socket!.queued > LIMIT ? 'busy' : 'sent'
    if (verb === 'SEND' && state === 'sent') device!.write(`CMD ${text.join(' ')}\n`)
    const count = `${devices.size} devices, ${(process.memoryUsage.rss() / 1e6).toFixed(1)} MB`
    await operator.writeAll(verb === 'SEND' ? `${id} ${state}\n` : `${count}\n`)
  }
}
