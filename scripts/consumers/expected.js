// What each step of a program has to come to: one file of JSON for each program.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'

import { ROOT } from '../targets.js'

const path = (name) => `${ROOT}__test__/consumers/expected/${name}.json`

/** @returns {Record<string, unknown>} the outcomes by step */
export function read(name) {
  return existsSync(path(name)) ? JSON.parse(readFileSync(path(name), 'utf8')) : {}
}

export function write(name, { outcomes }) {
  const thrown = Object.entries(outcomes).filter(([, outcome]) => outcome?.thrown !== undefined)
  if (thrown.length > 0) throw new Error(`${name}: no outcome to record: ${JSON.stringify(thrown, null, 2)}`)
  writeFileSync(path(name), `${JSON.stringify(outcomes, null, 2)}\n`)
}
