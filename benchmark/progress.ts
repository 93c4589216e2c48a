import process from 'node:process'

/** On a terminal one line that is overwritten; elsewhere one line for each new heading. */
export class Progress {
  #total: number
  readonly #begun = performance.now()
  readonly #terminal = process.stderr.isTTY
  #done = 0
  #heading = ''

  constructor(total: number) {
    this.#total = total
  }

  step(heading: string, detail: string): void {
    this.#done++
    const seconds = Math.round((performance.now() - this.#begun) / 1000)
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
    if (this.#terminal) process.stderr.write(`\r\x1b[K${time}  ${this.#done}/${this.#total}  ${heading}  ${detail}`)
    else if (heading !== this.#heading) process.stderr.write(`${time}  ${this.#done}/${this.#total}  ${heading}\n`)
    this.#heading = heading
  }

  /** Removes steps that will not be run. */
  skip(count: number): void {
    this.#total -= count
  }

  end(): void {
    if (this.#terminal) process.stderr.write('\r\x1b[K')
  }
}
