import type { ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { start } from './child.js'
import { AS_NODE_PRINTS, fileArguments } from './runtime.js'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block: in the first line behind the fence stand its language, and behind a blank what is said of it. */
export interface Block {
  readonly language: string
  readonly info: string
  readonly code: string
  /** The line of its fence. */
  readonly line: number
}

/** The pages whose blocks are checked, by their paths in the project. */
export function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  const written = docs.filter((name) => name.endsWith('.md') && !name.startsWith('api/'))
  return ['README.md', 'CONTRIBUTING.md', 'benchmark/README.md', ...written.toSorted().map((name) => `docs/${name}`)]
}

/** The text of a file, given by its path in the project. */
export function textOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\S*)[^\S\n]*([^\n]*)\n(.*?)^```$/gms)].map(
    ({ 1: language, 2: info, 3: code, index }) => ({
      language: language!,
      info: info!,
      code: code!,
      line: text.slice(0, index).split('\n').length,
    }),
  )
}

/** The code blocks of a language in a Markdown text, in order, that the specs of pages run. */
export function codeBlocks(text: string, language: string): string[] {
  return blocksOf(text)
    .filter((block) => block.language === language && !/^(?:file=|not run: )/.test(block.info))
    .map(({ code }) => code)
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
