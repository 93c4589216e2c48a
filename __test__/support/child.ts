import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { text } from 'node:stream/consumers'

import type { ExecutionContext } from 'ava'

import { sourceArguments } from './runtime.js'

/** Starts a program; if it still runs at the end of the test, it is killed. */
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

/**
 * Sends a signal by process id: Deno reports a signal that `child.kill()` sent as the reason of the exit, even of a
 * regular one.
 */
export function sendSignal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  process.kill(pid!, name)
}

/** A program's output and how it ended. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

interface ModuleOptions extends SpawnOptions {
  /** Options of Node itself. */
  readonly nodeArguments?: readonly string[]
}

const ROOT = new URL('../..', import.meta.url)

/** Starts a module, given as source text, in a process of its own in the project's root. */
export function startModule(
  t: ExecutionContext,
  source: string,
  { nodeArguments = [], ...options }: ModuleOptions = {},
): ChildProcess {
  return start(t, process.execPath, sourceArguments(source, nodeArguments), {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
}

/** Waits for a program's end. Call it right after the start, so that no output is missed. */
export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  const [stdout, stderr, [code, signal]] = await Promise.all([text(child.stdout!), text(child.stderr!), ended])
  return { code, signal, stdout, stderr }
}

/** Runs a module, given as source text, to its end. */
export async function runModule(t: ExecutionContext, source: string, options?: ModuleOptions): Promise<Outcome> {
  return outcomeOf(startModule(t, source, options))
}

/** As {@link runModule}, where the process may have `limit` descriptors open: `ulimit -n`. */
export async function runWithDescriptors(t: ExecutionContext, limit: number, source: string): Promise<Outcome> {
  const command = ['-c', `ulimit -n ${limit}; exec "$0" "$@"`, process.execPath, ...sourceArguments(source)]
  return outcomeOf(start(t, 'sh', command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] }))
}
