import type { SpawnOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { type Outcome, outcomeOf, start } from './child.js'

/** The path of a file in `fixtures/`. */
export function fixturePath(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
}

/** The arguments with which Node runs a module of `fixtures/`. */
export function fixtureArguments(name: string, ...args: readonly (string | number)[]): string[] {
  return ['--import', '@oxc-node/core/register', '--expose-gc', fixturePath(name), ...args.map(String)]
}

/** Runs a module of `fixtures/` in a process of its own, to its end. */
export async function runFixture(t: ExecutionContext, name: string, ...args: readonly (string | number)[]): Promise<Outcome> {
  return run(t, process.execPath, fixtureArguments(name, ...args))
}

/** Runs a program to its end. */
export async function run(t: ExecutionContext, command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Outcome> {
  return outcomeOf(start(t, command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options }))
}
