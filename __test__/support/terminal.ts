import { type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import process from 'node:process'

import type { ExecutionContext } from 'ava'

import { start } from './child.js'
import { until } from './waiting.js'

/**
 * Runs a program in a pseudo-terminal, pty(7), as the leader of its session. Commands come as JSON by the standard
 * input, what the program prints and how it ends goes out by the standard output. Its end is that of the program.
 */
const BRIDGE = `
import fcntl, json, os, select, signal, struct, sys, termios

def resize(rows, columns):
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

def say(**message):
    print(json.dumps(message), flush=True)

def forward(timeout):
    ready = select.select([master, 0], [], [], timeout)[0]
    if master in ready:
        say(output=os.read(master, 65536).decode('latin1'))
    return ready

def obey(line):
    command = json.loads(line)
    if 'keys' in command:
        os.write(master, command['keys'].encode('latin1'))
    if 'size' in command:
        resize(*command['size'])
    if 'signal' in command:
        os.kill(pid, getattr(signal, command['signal']))

master, slave = os.openpty()
resize(*json.loads(sys.argv[1]))
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.closerange(3, 64)
    os.execvp(sys.argv[2], sys.argv[2:])
pending = b''
while True:
    ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if ended and os.WIFSTOPPED(status):
        say(stopped=True, restored=termios.tcgetattr(slave) == before)
    elif ended:
        break
    if 0 in forward(0.02):
        read = os.read(0, 65536)
        if not read:
            os.kill(pid, signal.SIGKILL)
        *lines, pending = (pending + read).split(bytes([10]))
        for line in lines:
            obey(line)
while master in forward(0):
    pass
code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
say(code=code, restored=termios.tcgetattr(slave) == before)
`

/** From the first line to the last one; what follows that is cleared. */
// oxlint-disable-next-line no-control-regex
const PICTURE = /\x1b\[H([^]*?)\x1b\[J/g
// oxlint-disable-next-line no-control-regex
const SEQUENCE = /\x1b\[[0-9;?]*[A-Za-z]/g

/** How a program in a terminal has ended: its exit code, or its signal, negated; whether the terminal is as it was. */
export interface TerminalEnd {
  readonly code: number
  readonly restored: boolean
}

type Message = { readonly output?: string; readonly stopped?: true } & Partial<TerminalEnd>

/** A program in a pseudo-terminal. */
export class Terminal {
  /** All that the program has printed. */
  output = ''
  /** Whether the terminal was as before, each time that the program has stopped. */
  readonly stops: boolean[] = []
  end: TerminalEnd | undefined
  readonly #bridge: ChildProcess

  constructor(t: ExecutionContext, command: readonly string[], rows = 24, columns = 80) {
    const size = JSON.stringify([rows, columns])
    this.#bridge = start(t, 'python3', ['-c', BRIDGE, size, ...command], { env: { ...process.env, TERM: 'xterm' } })
    createInterface({ input: this.#bridge.stdout! }).on('line', (line) => this.#onMessage(JSON.parse(line) as Message))
    this.#bridge.stderr!.on('data', (chunk: Buffer) => t.log(chunk.toString()))
  }

  #onMessage({ output = '', stopped, code, restored = false }: Message): void {
    this.output += output
    if (stopped) this.stops.push(restored)
    if (code !== undefined) this.end = { code, restored }
  }

  press(keys: string): void {
    this.#say({ keys })
  }

  resize(rows: number, columns: number): void {
    this.#say({ size: [rows, columns] })
  }

  signal(signal: NodeJS.Signals): void {
    this.#say({ signal })
  }

  #say(command: object): void {
    this.#bridge.stdin!.write(`${JSON.stringify(command)}\n`)
  }

  /** The lines of the last whole picture that was drawn, without their colours. */
  get screen(): string[] {
    const last = [...this.output.matchAll(PICTURE)].at(-1)?.[1] ?? ''
    return last.split('\r\n').map((line) => line.replaceAll(SEQUENCE, '').trimEnd())
  }

  /** Waits for a picture. */
  async until(passes: (screen: string[]) => boolean): Promise<string[]> {
    await until(() => passes(this.screen))
    return this.screen
  }

  /** Waits for the end of the program. */
  async ended(): Promise<TerminalEnd> {
    await until(() => this.end !== undefined)
    return this.end!
  }
}
