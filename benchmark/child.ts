import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** Longer than any one step of any run takes. */
const PATIENCE = 120_000

/** A program that is talked to by lines. */
export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  readonly #exit: Promise<unknown>
  readonly #command: string
  #complaints = ''

  constructor(command: readonly string[]) {
    const [program, ...args] = command as [string, ...string[]]
    this.#command = command.join(' ')
    this.#process = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#complaints += text))
    this.#process.stdin.on('error', () => {})
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]()
    this.#exit = once(this.#process, 'close').catch((error: Error) => (this.#complaints += error.message))
  }

  get pid(): number {
    return this.#process.pid!
  }

  /** The next line of its stdout. */
  async line(): Promise<string> {
    const { value, done } = await within(this.#lines.next(), this.#command)
    if (done) {
      await this.#exit
      throw new Error(`${this.#command} has ended: ${this.#complaints.trim() || 'without a word'}`)
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

  /** Waits until its stderr has said it. */
  async complaint(text: string): Promise<void> {
    while (!this.#complaints.includes(text)) {
      await within(Promise.race([once(this.#process.stderr, 'data'), this.#exit]), this.#command)
      if (this.#process.exitCode !== null && !this.#complaints.includes(text))
        throw new Error(`${this.#command}: ${this.#complaints.trim()}`)
    }
  }

  interrupt(): void {
    this.#process.kill('SIGINT')
  }

  /** Ends its stdin, and waits for its end. */
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

async function within<T>(promise: Promise<T>, what: string, milliseconds = PATIENCE): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer for ${milliseconds / 1000} s`)), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
