// Two ports of 127.0.0.1: `refused`, which is bound and not listening, so that a connect gets ECONNREFUSED; and
// `blackhole`, whose backlog is full, so that the kernel drops every further SYN, tcp(7), and a connect stays pending.

import { Daemon } from './support.js'

export const needs = [['python3', 'python3']]

const PROGRAM = `
import socket, sys
refused = socket.socket()
refused.bind(('127.0.0.1', 0))
blackhole = socket.socket()
blackhole.bind(('127.0.0.1', 0))
blackhole.listen(0)
queued = []
while True:
    client = socket.socket()
    client.settimeout(0.15)
    try:
        client.connect(blackhole.getsockname())
    except TimeoutError:
        break
    queued.append(client)
print('ports', refused.getsockname()[1], blackhole.getsockname()[1], 'end', flush=True)
sys.stdin.read()
`

export async function start() {
  const python = new Daemon('python3', ['-c', PROGRAM], { ready: /ports \d+ \d+ end/ })
  const [, refused, blackhole] = /ports (\d+) (\d+)/.exec(await python.start()).map(Number)
  return { details: { host: '127.0.0.1', refused, blackhole }, stop: () => python.stop('SIGKILL') }
}
