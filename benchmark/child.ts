import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** The longest time for one step of a run, in milliseconds. */
const TIMEOUT = 120_000

/** A child process that is controlled by lines on its stdin and stdout. */
export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  readonly #exit: Promise<unknown>
  readonly #command: string
  #errors = ''

  constructor(command: readonly string[]) {
    const [program, ...args] = command as [string, ...string[]]
    this.#command = command.join(' ')
    this.#process = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#errors += text))
    this.#process.stdin.on('error', () => {})
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]()
    this.#exit = once(this.#process, 'close').catch((error: Error) => (this.#errors += error.message))
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** The next line of its stdout. */
  async line(): Promise<string> {
    const { value, done } = await within(this.#lines.next(), this.#command)
    if (done) {
      await this.#exit
      throw new Error(`${this.#command} has ended: ${this.#errors.trim() || 'it printed no error'}`)
    }
    return value
  }

  say(line = ''): void {
    this.#process.stdin.write(`${line}\n`)
  }

  async ask<T>(line: string): Promise<T> {
    this.say(line)
    return JSON.parse(await this.line()) as T
  }

  /** Waits until its stderr contains `text`. */
  async untilStderr(text: string): Promise<void> {
    while (!this.#errors.includes(text)) {
      await within(Promise.race([once(this.#process.stderr, 'data'), this.#exit]), this.#command)
      if (this.#process.exitCode !== null && !this.#errors.includes(text))
        throw new Error(`${this.#command}: ${this.#errors.trim()}`)
    }
  }

  interrupt(): void {
    this.#process.kill('SIGINT')
  }

  /** Ends its stdin and waits until it exits; kills it after 5 s. */
  async end(): Promise<void> {
    this.#process.stdin.end()
    try {
      await within(this.#exit, this.#command, 5000)
    } catch {
      this.#process.kill('SIGKILL')
      await this.#exit
    }
  }
}

async function within<T>(promise: Promise<T>, what: string, milliseconds = TIMEOUT): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer for ${milliseconds / 1000} s`)), milliseconds)
  })
  try {
    return await Promise.race([promise, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/** What a program prints that ends by itself. */
export async function outputOf([program, ...args]: readonly string[]): Promise<string> {
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'], timeout: TIMEOUT })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  if (code !== 0) throw new Error(`${program} ended with ${code}`)
  return output
}
