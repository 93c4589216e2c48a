// What the files of the servers share. Such a file exports `needs`, pairs of a program and its Debian package, and
// `start(folder)`, which resolves with:
//   details    what a program gets to know: ports, paths; JSON
//   commands   { name: async (...args) => result }, which a program may call
//   stop       ends everything that was started

import { spawn, spawnSync } from 'node:child_process'
import { accessSync, chownSync, constants, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import process from 'node:process'

/** The longest time that a server may take to start, in milliseconds. */
const START_TIMEOUT = 30_000

/** Those that run, which do not outlive this process. */
const running = new Set()
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** The path of a program, also where Debian has those of daemons. */
export function find(program) {
  if (program.startsWith('/')) return isExecutable(program) ? program : undefined
  const postgres = '/usr/lib/postgresql'
  const folders = [
    ...(process.env.PATH ?? '').split(':'),
    '/usr/sbin',
    ...(isFolder(postgres) ? readdirSync(postgres).map((version) => `${postgres}/${version}/bin`) : []),
  ]
  return folders.map((folder) => `${folder}/${program}`).find(isExecutable)
}

/** A port of 127.0.0.1 that the kernel chose. */
export async function freePort() {
  const server = createServer()
  await new Promise((resolve, reject) => server.on('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** For a server that refuses to run as root: the user of its Debian package, which owns the folder; else the caller. */
export function asUser(name, folder) {
  if (process.getuid() !== 0) return {}
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout))
  chownSync(folder, uid, gid)
  return { uid, gid }
}

/** Runs a program to its end. @throws with its output if it fails */
export function runSync(program, args, options = {}) {
  const path = find(program)
  const { status, stdout, stderr } = spawnSync(path, args, { encoding: 'utf8', ...options })
  if (status !== 0) throw new Error(`${program} failed: ${stdout}${stderr}`)
  return stdout
}

/** A private key and a certificate for 127.0.0.1 and localhost that it has signed itself: paths of two files. */
export function selfSigned(folder, user = {}) {
  const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`]
  runSync('openssl', [
    ...'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'.split(' '),
    ...'-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout'.split(' '),
    key,
    '-out',
    cert,
  ])
  if (user.uid !== undefined) for (const path of [key, cert]) chownSync(path, user.uid, user.gid)
  return { key, cert }
}

/** A server's process. */
export class Daemon {
  #program
  #args
  #options
  #pattern
  #child
  #ended
  #output = ''
  #printed = () => {}

  /** @param ready a pattern in what the server prints once it takes connections */
  constructor(program, args, { ready, ...options }) {
    this.#program = program
    this.#args = args
    this.#pattern = ready
    this.#options = options
  }

  get pid() {
    return this.#child.pid
  }

  /** Starts it, and waits until it takes connections. @returns what it printed */
  async start() {
    const child = spawn(find(this.#program), this.#args, { stdio: ['pipe', 'pipe', 'pipe'], ...this.#options })
    this.#child = child
    running.add(child)
    const ended = new Promise((resolve) => child.once('error', resolve).once('close', resolve))
    this.#ended = ended
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => this.#read(chunk))
    await this.ready()
    return this.#output
  }

  /** Waits until it prints, from now on, that it takes connections. */
  async ready() {
    this.#output = ''
    let timer
    const late = new Promise((resolve) => (timer = setTimeout(resolve, START_TIMEOUT, 'late')))
    const ready = new Promise((resolve) => (this.#printed = resolve))
    const why = await Promise.race([late, ready, this.#ended.then(() => 'ended')])
    clearTimeout(timer)
    if (why) throw new Error(`${this.#program} is not ready: ${why}: ${this.#output}`)
  }

  #read(chunk) {
    this.#output = `${this.#output}${chunk}`.slice(-10_000)
    if (this.#pattern.test(this.#output)) this.#printed()
  }

  /** Sends a signal, and waits for its end. */
  async stop(signal = 'SIGTERM') {
    const child = this.#child
    if (child === undefined) return
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await this.#ended
    clearTimeout(timer)
    running.delete(child)
    this.#child = undefined
  }

  async restart(signal) {
    await this.stop(signal)
    await this.start()
  }
}

function isFolder(path) {
  try {
    return readdirSync(path).length > 0
  } catch {
    return false
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
