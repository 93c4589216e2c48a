// strace(1), attached to a program that is running already: Node's own start is not concerned.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { NAMES } from './calls.js'

/** Makes strace(1) accept unknown names: arm64 has no epoll_wait(2). */
const known = (names) => names.map((name) => `?${name}`).join(',')

/** Follows the main thread of a program, and makes calls of it fail. */
export class Tracer {
  #pid
  #file
  #child
  #gone

  constructor(pid, file) {
    this.#pid = pid
    this.#file = file
  }

  /** Attaches. Without `fault`, only records. */
  start(fault) {
    const what = fault ? ['-e', `inject=${fault}`] : []
    const names = fault ? [fault.split(':')[0]] : [...NAMES, 'epoll_pwait']
    const args = ['-p', this.#pid, '-o', this.#file, '-e', `trace=${known(names)}`, '-e', 'signal=none', ...what]
    this.#child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let errors = ''
    this.#gone = new Promise((resolve) => {
      this.#child.on('error', resolve)
      this.#child.on('exit', resolve)
    })
    return new Promise((resolve, reject) => {
      this.#child.stderr.setEncoding('utf8').on('data', (text) => {
        errors += text
        if (/attached/.test(errors)) resolve()
      })
      this.#gone.then(() => reject(new Error(`strace could not attach: ${errors}`)))
    })
  }

  /** Detaches, and so lifts the fault. */
  async stop() {
    this.#child?.kill('SIGINT')
    await this.#gone
  }

  /** What was called. */
  get lines() {
    try {
      return readFileSync(this.#file, 'utf8').split('\n').filter(Boolean)
    } catch {
      return []
    }
  }
}
