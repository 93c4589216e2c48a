import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { type Interface, createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'

import type { ExecutionContext } from 'ava'

import { start } from './child.js'
import { ROOT, textOf } from './code-blocks.js'
import { fileArguments } from './runtime.js'

/** A program that a page shows: a block of TypeScript whose info string names a file, as `ts file=examples/a.ts`. */
export interface ShownProgram {
  readonly file: string
  readonly code: string
}

/** The programs that a Markdown text shows, in order. */
export function shownPrograms(markdown: string): ShownProgram[] {
  return [...markdown.matchAll(/^```ts file=(\S+)\n(.*?)^```$/gms)].map(([, file, code]) => ({
    file: file!,
    code: code!,
  }))
}

/** A command of a `console` block, and the lines that the page shows below it. */
export interface ShownCommand {
  readonly command: string
  /** Without the last line feed. */
  readonly output: string
}

/** The commands of all `console` blocks of a Markdown text, in order: lines that begin with `$ `. */
export function shownCommands(markdown: string): ShownCommand[] {
  const blocks = [...markdown.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) => block!)
  return blocks
    .flatMap((block) => block.split(/^\$ /m).slice(1))
    .map((part) => {
      const [command = '', ...output] = part.trimEnd().split('\n')
      return { command, output: output.join('\n') }
    })
}

/** What a page shows below the one command that contains `part`. */
export function shownOutput(page: string, part: string): string {
  const found = shownCommands(textOf(page)).filter(({ command }) => command.includes(part))
  if (found.length !== 1) throw new Error(`${page} shows ${found.length} commands with ${part}`)
  return found[0]!.output
}

/** Asserts that a program printed what a page shows below a command. There `…` stands for text that varies. */
export function isAsShown(t: ExecutionContext, page: string, part: string, printed: string): void {
  const shown = shownOutput(page, part)
  const pattern = shown.split('…').map((piece) => piece.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  if (new RegExp(`^${pattern.join('.*')}$`).test(printed.trimEnd())) t.pass()
  else t.is(printed.trimEnd(), shown)
}

/** A program of `examples/` that runs. */
export interface RunningProgram {
  readonly child: ChildProcess
  /** The next line of its standard output; undefined at the end. */
  line(): Promise<string | undefined>
  /** All further lines, once it has ended. */
  rest(): Promise<string[]>
  /** What it has written to standard error, once it has ended. Until this is asked for, that can be read otherwise. */
  readonly stderr: Promise<string>
}

/** Starts a program, given by its path in `examples/` without the extension, as `recipes/socks5`. */
export function startProgram(
  t: ExecutionContext,
  name: string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): RunningProgram {
  const child = start(t, process.execPath, fileArguments(join(ROOT, `examples/${name}.ts`), args), {
    cwd: ROOT,
    ...options,
  })
  let stderr: Promise<string> | undefined
  return {
    child,
    ...linesOf(createInterface({ input: child.stdout! })),
    get stderr() {
      return (stderr ??= text(child.stderr!))
    },
  }
}

/** Starts a server whose first line of output ends with `port` and its number. */
export async function startServing(
  t: ExecutionContext,
  name: string,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<RunningProgram & { readonly port: number; readonly first: string }> {
  const program = startProgram(t, name, args, options)
  const first = await program.line()
  const port = /port (\d+)$/.exec(first ?? '')?.[1]
  if (first === undefined || port === undefined) throw new Error(`${name}: ${first ?? (await program.stderr)}`)
  return Object.assign(program, { port: Number(port), first })
}

function linesOf(input: Interface): Pick<RunningProgram, 'line' | 'rest'> {
  const lines = input[Symbol.asyncIterator]()
  const line = async () => {
    const { value, done } = await lines.next()
    return done ? undefined : value
  }
  return {
    line,
    async rest() {
      const all: string[] = []
      for (let next = await line(); next !== undefined; next = await line()) all.push(next)
      return all
    },
  }
}

/** The names of the files of a folder that end with `extension`, without it; none if there is no such folder. */
export function namesIn(folder: string, extension: string): string[] {
  const path = join(ROOT, folder)
  if (!existsSync(path)) return []
  return readdirSync(path)
    .filter((name) => name.endsWith(extension))
    .map((name) => name.slice(0, -extension.length))
}
