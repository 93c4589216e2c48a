import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const allowed = coresOf(/^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]!)

/** Whether the server and the load generator run on a core of their own each. */
export const pinned = allowed.length > 1 && spawnSync('taskset', ['--version']).error === undefined

/** The command, pinned to the core of the server. */
export function onServerCore(command: readonly string[]): string[] {
  return on(allowed[0]!, command)
}

/** The command, pinned to the core of the load generator. */
export function onLoadCore(command: readonly string[]): string[] {
  return on(allowed.at(-1)!, command)
}

function on(core: number, command: readonly string[]): string[] {
  return pinned ? ['taskset', '-c', String(core), ...command] : [...command]
}

/** `0-2,5` gives 0, 1, 2, 5. */
function coresOf(list: string): number[] {
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number) as [number, number | undefined]
    return Array.from({ length: (last ?? first) - first + 1 }, (_, at) => first + at)
  })
}
