import type { ChildProcess } from 'node:child_process'
import process from 'node:process'

import type { ExecutionContext } from 'ava'
import type { Listener } from 'm-socket'

import { type Outcome, outcomeOf, start } from './child.js'
import { sourceArguments } from './runtime.js'

const ROOT = new URL('../..', import.meta.url)

/**
 * Starts this runtime with the descriptors from 3 on, as systemd passes them: with `variables`, and a LISTEN_PID of its
 * own unless they have one.
 */
export function startWithDescriptorsFrom3(
  t: ExecutionContext,
  passed: readonly (Listener | number)[],
  variables: Readonly<Record<string, string>>,
  args: readonly string[],
): ChildProcess {
  const command = ['-c', 'LISTEN_PID=${LISTEN_PID-$$} exec "$0" "$@"', process.execPath, ...args]
  const fds = passed.map((each) => (typeof each === 'number' ? each : each.fd))
  const { LISTEN_PID: _pid, LISTEN_FDS: _fds, LISTEN_FDNAMES: _names, ...env } = process.env
  return start(t, 'sh', command, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe', ...fds],
    env: { ...env, ...variables },
  })
}

/** In front of a module. */
const PRELUDE = `
import { listen, listenFds } from 'm-socket'
const print = (value) => console.log(JSON.stringify(value))
/** What a call throws, as far as it is of interest. */
const thrown = (act) => {
  try { return { returned: act() } }
  catch (error) { return { type: error.constructor.name, code: error.code, message: error.message, descriptors: error.descriptors } }
}
/** Sets the variables for this process. */
const pass = (variables) => Object.assign(process.env, { LISTEN_PID: String(process.pid), ...variables })
`

/** Runs a module, given as source text, as {@link startWithDescriptorsFrom3} does. */
export async function runWithDescriptorsFrom3(
  t: ExecutionContext,
  passed: readonly (Listener | number)[],
  variables: Readonly<Record<string, string>>,
  source: string,
): Promise<Outcome> {
  return outcomeOf(startWithDescriptorsFrom3(t, passed, variables, sourceArguments(PRELUDE + source)))
}
