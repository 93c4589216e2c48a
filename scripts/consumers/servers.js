// Starts the servers of a program, each in a temporary folder of its own, and stops them.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

import { find } from '../../__test__/consumers/servers/support.js'
import { ROOT } from '../targets.js'

/** @param {string[]} names files in __test__/consumers/servers */
export async function startServers(names) {
  const started = {}
  const stop = async () => {
    await Promise.all(Object.values(started).map(({ end }) => end()))
  }
  try {
    await Promise.all(names.map(async (name) => (started[name] = await start(name))))
  } catch (error) {
    await stop()
    throw error
  }
  return {
    /** What the program gets to know of each server. */
    details: Object.fromEntries(names.map((name) => [name, started[name].details])),
    control(name, command, args) {
      const act = started[name]?.commands?.[command]
      if (!act) throw new Error(`no server ${name} with a command ${command}`)
      return act(...args)
    },
    stop,
  }
}

/** What is there still at the end, after an error, is removed then. */
const folders = new Set()
process.once('exit', () => folders.forEach(remove))

function remove(folder) {
  rmSync(folder, { recursive: true, force: true })
  folders.delete(folder)
}

async function start(name) {
  const module = await import(`${ROOT}__test__/consumers/servers/${name}.js`)
  for (const [program, debian] of module.needs) {
    if (find(program) === undefined)
      throw Object.assign(new Error(`${program} is missing`), { missing: `${program} is missing: install ${debian}` })
  }
  const folder = mkdtempSync(join(tmpdir(), `consumers-${name}-`))
  folders.add(folder)
  try {
    const server = await module.start(folder)
    return {
      ...server,
      async end() {
        await server.stop()
        remove(folder)
      },
    }
  } catch (error) {
    remove(folder)
    throw error
  }
}
