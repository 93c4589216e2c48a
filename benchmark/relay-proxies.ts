// The proxies that are compared, and how each is started.

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { once } from 'node:events'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { LOAD, SERVERS } from './build.js'
import { Child } from './child.js'
import { onServerCore } from './cores.js'
import type { Server } from './measure.js'

export interface Proxy {
  readonly name: string
  /** A description, with the version. */
  readonly title: string
  /** Its process answers `gc` on stdin. */
  readonly onNode: boolean
  /** Takes part unless others are named. */
  readonly usual: boolean
  /** Starts it in front of a server on 127.0.0.1. `flags` are flags of V8. */
  start(backend: string, flags?: readonly string[]): Promise<Server>
}

const RELAY = LOAD.replace(/load$/, 'relay')
const GO_RELAY = LOAD.replace(/load$/, 'relay-go')
const folder = fileURLToPath(new URL('../.cache/relay/', import.meta.url))

/** The proxies that can be started, and the reasons why the others cannot. */
export function proxies(): { present: Proxy[]; absent: string[] } {
  const present = [
    native('bare', 'bare epoll loop (Rust), recv(2) and send(2)', RELAY),
    native('bare-splice', 'bare epoll loop (Rust), splice(2) where much comes', RELAY, '--splice'),
    onNode('relay', 'm-socket, relay() of sockets'),
    { ...onNode('connections', 'm-socket, relay() of connections'), usual: false },
    { ...onNode('handlers', 'm-socket, handlers that write to each other'), usual: false },
    { ...onNode('duplex', 'm-socket/net and pipe()', 'pipe', '--own'), usual: false },
    onNode('pipe', 'node:net and pipe()', 'pipe'),
  ]
  const absent: string[] = []
  const haproxy = /version ([\d.]+)/.exec(outputOf('haproxy', '-v'))?.[1]
  if (haproxy) present.push(haproxyOf('haproxy', haproxy, true), haproxyOf('haproxy-copy', haproxy, false))
  else absent.push('haproxy: it is not installed')
  const go = /go([\d.]+)/.exec(outputOf('go', 'version'))?.[1]
  if (go && buildGo()) present.push(native('go', `Go ${go}, io.Copy`, GO_RELAY))
  else absent.push(go ? 'go: the relay could not be built' : 'go: it is not installed')
  return { present, absent }
}

function outputOf(program: string, ...args: string[]): string {
  return spawnSync(program, args, { encoding: 'utf8' }).stdout ?? ''
}

function buildGo(): boolean {
  const source = fileURLToPath(new URL('load/relay.go', import.meta.url))
  const { status } = spawnSync('go', ['build', '-o', GO_RELAY, source], { stdio: ['ignore', 'inherit', 'inherit'] })
  return status === 0
}

function native(name: string, title: string, program: string, ...args: string[]): Proxy {
  return { name, title, onNode: false, usual: true, start: (backend) => started([program, backend, ...args]) }
}

function onNode(name: string, title: string, kind = name, ...args: string[]): Proxy {
  return {
    name,
    title: `${title}, Node ${process.versions.node}`,
    onNode: true,
    usual: true,
    start: (backend, flags = []) =>
      started([process.execPath, '--expose-gc', ...flags, `${SERVERS}relay.js`, kind, backend, ...args]),
  }
}

/** A program that prints its port. */
async function started(command: readonly string[]): Promise<Server> {
  const child = new Child(onServerCore(command))
  const line = await child.line()
  return { child, port: line.slice('port '.length) }
}

/** HAProxy does not watch its stdin, and ends at SIGINT. */
export async function stopped({ child }: Server): Promise<void> {
  child.interrupt()
  await child.end()
}

function haproxyOf(name: string, version: string, splices: boolean): Proxy {
  return {
    name,
    title: `HAProxy ${version}, ${splices ? 'option splice-auto' : 'copying'}`,
    onNode: false,
    usual: true,
    start: async (backend) => {
      const port = await freePort()
      mkdirSync(folder, { recursive: true })
      const file = `${folder}${name}-${port}.cfg`
      writeFileSync(file, configuration(port, backend, splices))
      const child = new Child(onServerCore(['haproxy', '-db', '-f', file]))
      await untilListening(port)
      return { child, port }
    },
  }
}

/** HAProxy derives its limit of descriptors from maxconn: two for a pair, and the pipes of a quarter of the pairs. */
function configuration(port: string, backend: string, splices: boolean): string {
  return `global
  nbthread 1
  maxconn 7000
defaults
  mode tcp
  ${splices ? 'option splice-auto' : 'no option splice-auto'}
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen relay
  bind 127.0.0.1:${port} backlog 4096
  server backend 127.0.0.1:${backend}
`
}

/** HAProxy refuses port 0. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return String(port)
}

async function untilListening(port: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect(Number(port), '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch (error) {
      if (attempt === 100) throw error
      await sleep(50)
    } finally {
      socket.destroy()
    }
  }
}
