import type { SpawnOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './child.js'
import { fileArguments } from './runtime.js'

/** The path of a file in `fixtures/`. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
}

/** The arguments with which this runtime runs a module of `fixtures/`. */
export function fixtureArguments(name: string, ...args: readonly (string | number)[]): string[] {
  return fileArguments(fixturePath(name), args.map(String), ['--expose-gc'])
}

/** Runs a module of `fixtures/` to its end in a process of its own. */
export async function runFixture(
  t: ExecutionContext,
  name: string,
  ...args: readonly (string | number)[]
): Promise<Outcome> {
  return run(t, process.execPath, fixtureArguments(name, ...args))
}

/** Runs a program to its end. */
export async function run(
  t: ExecutionContext,
  command: string,
  args: readonly string[],
  options: SpawnOptions = {},
): Promise<Outcome> {
  return outcomeOf(start(t, command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options }))
}
