import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { start } from './child.js'
import { AS_NODE_PRINTS, fileArguments } from './runtime.js'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The text of a file, given by its path in the project. */
export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

/** The code blocks of a language in a Markdown text, in order. */
export function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code!)
}

/** The output that a program documents in comments after its `console.log` calls. */
export function expectedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, output]) => output!)
}

let blocksRun = 0

/** Starts a code block as a program in the project's root, where 'm-socket' is this package. */
export async function startBlock(t: ExecutionContext, code: string): Promise<ChildProcess> {
  const file = join(ROOT, `.readme-${process.pid}-${blocksRun++}.ts`)
  await writeFile(file, AS_NODE_PRINTS + code)
  t.teardown(() => rm(file))
  return start(t, process.execPath, fileArguments(file, []), { cwd: ROOT })
}
