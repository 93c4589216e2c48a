import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { text } from 'node:stream/consumers'

import type { ExecutionContext } from 'ava'

import { sourceArguments } from './runtime.js'

/** Starts a program that, by its process id, is killed at the end of the test if it still runs. */
export function start(
  t: ExecutionContext,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): ChildProcess {
  const child = spawn(command, args, options)
  t.teardown(async () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return child
}

/** Sends a signal by the process id: what `kill()` of Deno's child has sent counts as its end there, even if it exits by itself. */
export function sendSignal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  process.kill(pid!, name)
}

/** What a program said and how it ended. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

interface ModuleOptions extends SpawnOptions {
  /** For Node itself, before the module. */
  readonly nodeArguments?: readonly string[]
}

/** Starts a module, given as its source, in a process of its own, from the project's root. */
export function startModule(
  t: ExecutionContext,
  source: string,
  { nodeArguments = [], ...options }: ModuleOptions = {},
): ChildProcess {
  return start(t, process.execPath, sourceArguments(source, nodeArguments), {
    cwd: new URL('../..', import.meta.url),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
}

/** Waits for a program's end; to be called as soon as it is started. */
export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout!), text(child.stderr!), ended])
  return { code, signal, stdout, stderr }
}

/** Runs a module, given as its source, to its end. */
export async function runModule(t: ExecutionContext, source: string, options?: ModuleOptions): Promise<Outcome> {
  return outcomeOf(startModule(t, source, options))
}
