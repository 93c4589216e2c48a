// Runs the steps of a program, one after the other, and prints one line of JSON for each:
// `{ "step": "…", "outcome": … }`.
//
//   node main.js PROGRAM
//
// A program exports:
//   steps        { 'plain words': async (context) => outcome }; outcomes are the same in each run
//   servers      names of files in __test__/consumers/servers; none by default
//   environment  variables of the environment; none by default
//
// context.servers.NAME        what the server's file gives as `details`
// context.control(NAME, COMMAND, ...args)   one of the server's `commands`
//
// Neither the channel to the harness nor the timer of a step keeps the process alive: that the sockets do so is part of
// what is tested.

import process from 'node:process'
import { pathToFileURL } from 'node:url'

/** The longest time for one step, in milliseconds. */
const TIMEOUT = 20_000
/** When a process that still runs behind its last step says why, in milliseconds. */
const LATE = 3000

const requests = new Map()
let lastRequest = 0
process.on('message', ({ id, result, error }) => {
  const { resolve, reject } = requests.get(id)
  requests.delete(id)
  if (requests.size === 0) process.channel.unref()
  if (error === undefined) resolve(result)
  else reject(new Error(error))
})
process.channel.unref()

const context = {
  servers: JSON.parse(process.env.CONSUMER_SERVERS),
  control(server, command, ...args) {
    const id = ++lastRequest
    process.channel.ref()
    process.send({ id, server, command, args })
    return new Promise((resolve, reject) => requests.set(id, { resolve, reject }))
  },
}

const { steps } = await import(pathToFileURL(process.argv[2]).href)
for (const [step, run] of Object.entries(steps)) {
  const outcome = await attempt(run)
  process.stdout.write(`${JSON.stringify({ step, outcome: outcome ?? null })}\n`)
}
process.disconnect()
setTimeout(() => process.stderr.write(`it is kept alive by: ${process.getActiveResourcesInfo()}\n`), LATE).unref()

async function attempt(run) {
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve({ thrown: `not done after ${TIMEOUT / 1000} s` }), TIMEOUT)
    timer.unref()
  })
  try {
    return await Promise.race([run(context), late])
  } catch (error) {
    return { thrown: String(error?.stack ?? error) }
  } finally {
    clearTimeout(timer)
  }
}
