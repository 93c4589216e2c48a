import { join } from 'node:path'
import process from 'node:process'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './child.js'
import { ROOT, textOf } from './code-blocks.js'
import { isAsShown, shownCommands } from './pages.js'
import { fileArguments } from './runtime.js'

/** What stands on a page, such as a port, and what a test has in its place. */
export type Replacements = Readonly<Record<string, string | number>>

interface Where {
  readonly cwd?: string
  readonly replacing?: Replacements
}

/** curl(1) shows its progress where its output is no terminal. */
const AS_ON_A_TERMINAL = 'exec 2>&1; curl() { command curl --silent --show-error "$@"; }'

/** Runs a command line as a reader types it: `node NAME.ts` is the recipe of that name. Standard error is in `stdout`. */
export async function runLine(t: ExecutionContext, line: string, cwd: string = ROOT): Promise<Outcome> {
  const command = line.replaceAll(/\bnode ([\w-]+)\.ts/g, (_, name: string) => nodeCommand(name))
  return outcomeOf(
    start(t, 'sh', ['-c', `${AS_ON_A_TERMINAL}; ${command}`], { cwd, stdio: ['ignore', 'pipe', 'pipe'] }),
  )
}

/** Runs the commands of a page that contain `part`, in their order, and asserts that each prints what the page shows. */
export async function runAsShown(
  t: ExecutionContext,
  page: string,
  part: string,
  { cwd = ROOT, replacing = {} }: Where = {},
): Promise<void> {
  const commands = shownCommands(textOf(page)).filter(({ command }) => command.includes(part))
  t.true(commands.length > 0, `${page} has no command with ${part}`)
  for (const { command } of commands) {
    const { stdout } = await runLine(t, replaced(command, replacing), cwd)
    const printed = restored(stdout.replaceAll('\r', ''), replacing)
    isAsShown(t, page, command, printed)
  }
}

/** What a test has in the place of what stands on a page. */
function replaced(text: string, replacing: Replacements): string {
  return Object.entries(replacing).reduce((so, [shown, real]) => so.replaceAll(shown, String(real)), text)
}

/** What stands on a page in the place of what a test has. */
export function restored(text: string, replacing: Replacements): string {
  return Object.entries(replacing).reduce((so, [shown, real]) => so.replaceAll(String(real), shown), text)
}

function nodeCommand(name: string): string {
  return [process.execPath, ...fileArguments(join(ROOT, `examples/recipes/${name}.ts`), [])].join(' ')
}
