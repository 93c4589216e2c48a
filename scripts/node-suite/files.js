// The files of a copy of Node's test suite.

import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

const FOLDERS = ['parallel', 'sequential', 'pummel', 'async-hooks']
const INTERNALS = /--expose[-_]internals|internalBinding|_handle\b|process\.binding|['"]internal\//

/**
 * The suite in `path`: a folder with Node's `test` folder in it, or that folder.
 *
 * @returns {{ root: string, tests: string, version: string, files: { name: string, path: string, folder: string,
 *   flags: string[], internals: boolean }[] }}
 */
export function suiteAt(path) {
  const given = resolve(path)
  const tests = existsSync(join(given, 'test/common')) ? join(given, 'test') : given
  if (!existsSync(join(tests, 'common')))
    throw new Error(`${given} has no test/common: not a copy of Node's test suite`)
  const root = dirname(tests)
  const files = FOLDERS.filter((folder) => existsSync(join(tests, folder))).flatMap((folder) =>
    readdirSync(join(tests, folder))
      .filter((file) => /^test-.*net.*\.m?js$/.test(file))
      .sort()
      .map((file) => testFile(tests, folder, file)),
  )
  return { root, tests, version: basename(root), files }
}

function testFile(tests, folder, file) {
  const path = join(tests, folder, file)
  const text = readFileSync(path, 'utf8')
  const flags = [...text.matchAll(/^\/\/ Flags:\s+(.*)$/gm)].flatMap(([, line]) => line.trim().split(/\s+/))
  return { name: `${folder}/${file}`, path, folder, flags, internals: INTERNALS.test(text) }
}
