// The faults that are put into src/core one at a time: simulation/mutants/*.mutant. The simulation has to find each.
//
// A file has a sentence that describes the fault, the path of a source after an empty line, and the lines that change,
// as in a unified diff: ` ` and `-` are the text as it is, ` ` and `+` the text as it becomes. The former must stand in
// the source exactly once.

import { readdirSync, readFileSync } from 'node:fs'

import { ROOT } from '../targets.js'

const FOLDER = 'simulation/mutants'

/** @returns {{ name: string, description: string, path: string, before: string, after: string }[]} */
export function mutants() {
  return readdirSync(ROOT + FOLDER)
    .filter((name) => name.endsWith('.mutant'))
    .sort()
    .map((name) => parsed(name.replace('.mutant', ''), readFileSync(`${ROOT}${FOLDER}/${name}`, 'utf8')))
}

export function parsed(name, text) {
  const [description, empty, path, ...rest] = text.trimEnd().split('\n')
  const malformed = rest.filter((line) => !/^[ +-]/.test(line))
  if (empty !== '' || !path?.startsWith('src/core/') || rest.length === 0 || malformed.length > 0)
    throw new Error(`${FOLDER}/${name}.mutant is malformed: ${malformed.join('\n')}`)
  const side = (sign) =>
    rest
      .filter((line) => line[0] === ' ' || line[0] === sign)
      .map((line) => `${line.slice(1)}\n`)
      .join('')
  return { name, description, path, before: side('-'), after: side('+') }
}

/** The source with the fault in it; `undefined` where the text that it changes does not stand exactly once. */
export function mutated(source, { before, after }) {
  const text = `\n${source}`
  const at = text.indexOf(`\n${before}`)
  if (at === -1 || text.includes(`\n${before}`, at + 1)) return undefined
  return (text.slice(0, at + 1) + after + text.slice(at + 1 + before.length)).slice(1)
}
