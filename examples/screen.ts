// A terminal: the alternate screen, keys as they are pressed, and all as it was before, whatever ends the program.

import process from 'node:process'

/** The alternate screen, no cursor, and long lines are cut: xterm's control sequences. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'
/** To the first line; clears the rest of a line, and of the screen. */
const [HOME, CLEAR_LINE, CLEAR_BELOW] = ['\x1b[H', '\x1b[K', '\x1b[J']
/** An arrow or another sequence, or one character. */
// oxlint-disable-next-line no-control-regex
const KEY = /\x1b\[[0-9;]*[A-Za-z~]|[^]/gu
const CTRL_Z = '\x1a'

/** Whether there is a terminal to show something on and to get keys from. */
export const hasTerminal = process.stdin.isTTY && process.stdout.isTTY

export class Screen {
  readonly #lines: (width: number, height: number) => string[]
  #isShown = false

  /** `lines` gives at most as many as the height; `onKey` gets a character, or the sequence of an arrow: `\x1b[C`. */
  constructor(lines: (width: number, height: number) => string[], onKey: (key: string) => void) {
    this.#lines = lines
    const onKeys = (keys: string) => keys.match(KEY)?.forEach((key) => (key === CTRL_Z ? this.#suspend() : onKey(key)))
    process.stdin.setEncoding('utf8').on('data', onKeys)
    process.stdout.on('resize', () => this.draw()).on('error', () => process.exit(1))
    process.on('SIGCONT', () => this.#show())
    // It comes after an uncaught exception, too, and before that is printed.
    process.on('exit', () => this.#hide())
    this.#show()
  }

  /** Skipped while the terminal has not taken what was drawn before. */
  draw(): void {
    const { columns, rows, writableNeedDrain } = process.stdout
    if (!this.#isShown || writableNeedDrain) return
    const lines = this.#lines(columns, rows).map((line) => line + CLEAR_LINE)
    process.stdout.write(HOME + lines.join('\r\n') + CLEAR_BELOW)
  }

  close(): void {
    this.#hide()
    process.stdin.destroy()
  }

  /** As the shell's job control expects it, which Ctrl-Z asks for. */
  #suspend(): void {
    this.#hide()
    process.kill(process.pid, 'SIGSTOP')
  }

  #show(): void {
    if (this.#isShown) return
    this.#isShown = true
    process.stdin.setRawMode(true)
    process.stdout.write(ENTER)
    this.draw()
  }

  #hide(): void {
    if (!this.#isShown) return
    this.#isShown = false
    process.stdin.setRawMode(false)
    process.stdout.write(LEAVE)
  }
}
