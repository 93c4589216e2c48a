import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, sendSignal, start } from './child.js'
import { fileArguments } from './runtime.js'

export type ExampleName =
  | 'chat'
  | 'echo'
  | 'least-loaded'
  | 'lines'
  | 'metrics'
  | 'proxy'
  | 'reconnect'
  | 'redis'
  | 'restart'
  | 'reuse-port'
  | 'top'

/** The arguments that make a server listen on a free port of the loopback. */
export const ANYWHERE = ['--host', '127.0.0.1', '--port', '0'] as const

export interface RunningExample {
  readonly child: ChildProcess
  readonly outcome: Promise<Outcome>
}

/** Starts a program of `examples/`. */
export function runExample(
  t: ExecutionContext,
  name: ExampleName,
  args: readonly string[],
  env: Record<string, string> = {},
): RunningExample {
  const child = start(t, process.execPath, exampleArguments(name, args), { env: { ...process.env, ...env } })
  return { child, outcome: outcomeOf(child) }
}

/** The arguments with which this runtime runs a program of `examples/`. */
export function exampleArguments(name: ExampleName, args: readonly string[]): string[] {
  return fileArguments(fileURLToPath(new URL(`../../examples/${name}.ts`, import.meta.url)), args)
}

/** Starts a server of `examples/`; resolves with its port when it has printed that it listens. */
export async function startServer(
  t: ExecutionContext,
  name: ExampleName,
  args: readonly string[] = ANYWHERE,
  env: Record<string, string> = {},
): Promise<RunningExample & { port: number; line: string }> {
  const { child, outcome } = runExample(t, name, args, env)
  const [line] = (await once(child.stdout!, 'data')) as [Buffer]
  const port = Number(/^Listening on \S+ port (\d+)/.exec(line.toString())?.[1])
  return { child, outcome, port, line: line.toString() }
}

/** Ends a server as Ctrl-C does, and asserts that it exits with code 0 and an empty standard error. */
export async function interrupt(t: ExecutionContext, { child, outcome }: RunningExample): Promise<void> {
  sendSignal(child, 'SIGINT')
  const { code, signal, stderr } = await outcome
  t.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
}
