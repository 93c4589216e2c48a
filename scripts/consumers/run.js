// Runs one program on one side, in a process of its own, and serves what it asks of its servers.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'

import { ROOT } from '../targets.js'
import { programsFolder } from './install.js'

const HARNESS = `${ROOT}__test__/consumers/harness`

/** What Node is given for each side. */
export const SIDES = { net: [], 'm-socket': ['--import', 'm-socket/register'] }

/** The longest time for one program, in milliseconds. */
const TIMEOUT = 120_000
/** The longest time from the end of its last step to its own end. */
const END_TIMEOUT = 5000

/**
 * @returns {Promise<{ outcomes: Record<string, unknown>, problems: string[] }>} what each step came to, and what was
 *   wrong besides
 */
export async function run(name, side, program, servers) {
  const child = spawn(
    process.execPath,
    [...SIDES[side], '--import', `${HARNESS}/sockets.js`, `${HARNESS}/main.js`, `${programsFolder}/${name}.js`],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...program.environment, CONSUMER_SERVERS: JSON.stringify(servers.details) },
    },
  )
  const closed = once(child, 'close')
  const result = { outcomes: {}, problems: [] }
  let end
  const stop = (problem) => {
    result.problems.push(problem)
    child.kill('SIGKILL')
  }
  const timer = setTimeout(stop, TIMEOUT, `it still ran after ${TIMEOUT / 1000} s`)
  child.on('disconnect', () => {
    end = setTimeout(stop, END_TIMEOUT, `it had not ended ${END_TIMEOUT / 1000} s after its last step`)
  })
  child.on('message', (request) => void answer(child, servers, request))
  let ofOurs
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { step, outcome, sockets } = parsed(line) ?? { step: `a line that is not JSON: ${line}` }
    if (sockets) ofOurs = sockets
    else result.outcomes[step] = outcome
  })
  const errors = []
  child.stderr.on('data', (chunk) => errors.push(chunk))

  const [code, signal] = await closed
  clearTimeout(timer)
  clearTimeout(end)
  result.problems.push(...faultsOf(side, program, ofOurs))
  if (code !== 0 && result.problems.length === 0) result.problems.push(`it ended with ${signal ?? code}`)
  const stderr = Buffer.concat(errors).toString().trim()
  if (stderr !== '') result.problems.push(`stderr: ${stderr.split('\n').slice(0, 20).join('\n')}`)
  return result
}

/** On our side, a socket of the program has to be ours; on the other side, none. */
function faultsOf(side, program, sockets) {
  if (sockets === undefined) return ['it has not reported its sockets']
  const { ours, all } = sockets
  if (side === 'net') return ours === 0 ? [] : [`${ours} of ${all} sockets were ours`]
  return ours > 0 ? [] : [`none of ${all} sockets was ours`]
}

async function answer(child, servers, { id, server, command, args }) {
  let reply
  try {
    reply = { id, result: await servers.control(server, command, args) }
  } catch (error) {
    reply = { id, error: error.message }
  }
  if (child.connected) child.send(reply)
}

function parsed(line) {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
