// Workers of plain JavaScript, and what is open when they have ended.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import ts from 'typescript'

import { openObjects } from './descriptors.js'

/**
 * The open sockets, epoll descriptors and the like: the fewest within half a second, because libuv closes its own a
 * turn after the worker has ended. Without files: Node leaves those open that a terminated worker was just loading.
 */
export async function fewestOpen(): Promise<string[]> {
  let fewest = openObjects()
  for (let turn = 0; turn < 50; turn++) {
    await sleep(10)
    const now = openObjects()
    if (now.length < fewest.length) fewest = now
  }
  return fewest
}

/** Compiles a module to JavaScript, so that the workers need no TypeScript loader, which takes most of their start. */
export function compiled(module: URL): URL {
  const { outputText } = ts.transpileModule(readFileSync(module, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  })
  const source = outputText.replaceAll("'m-socket'", JSON.stringify(import.meta.resolve('m-socket')))
  return new URL(`data:text/javascript,${encodeURIComponent(source)}`)
}
