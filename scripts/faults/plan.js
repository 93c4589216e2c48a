// Which faults are tried: scenarios x calls x errnos x which of the calls fails.

import { CALLS, callOf, nameOf } from './calls.js'
import { SCENARIOS } from './scenarios.js'

/**
 * One run. `at` counts the calls of that name from the gate on, those of Node included; `which` says the same in a word.
 *
 * @typedef {{ scenario: string, level: string, transport: string, call: string, errno: string, at: number,
 *   which: string, lasting: boolean, warm: boolean }} Fault
 */

/** All scenarios, on each of their transports. */
export function places() {
  return Object.entries(SCENARIOS).flatMap(([scenario, { level, transports }]) =>
    transports.map((transport) => ({ scenario, level, transport })),
  )
}

/**
 * All faults of a place.
 *
 * @param {{ lines: string[], nodes: number[] }} cold what was called in a run without a fault
 * @param {{ lines: string[], nodes: number[] }} warm the same where the shared poller was there before
 * @returns {Fault[]}
 */
export function faultsOf(place, cold, warm) {
  const { usesNode } = SCENARIOS[place.scenario]
  // Node registers sockets of its own there, and ends the process if it cannot.
  const called = Object.entries(positions(cold)).filter(([call]) => !(usesNode && call.endsWith('(Node)')))
  const once = called.flatMap(([call, all]) =>
    CALLS[call].once.flatMap((errno) => some(all).map((position) => fault(place, call, errno, position, false))),
  )
  // A lasting fault of epoll_ctl(2) would concern what Node registers, too.
  const named = Object.entries(byName(positions(warm))).filter(([call]) => !(usesNode && nameOf(call) === 'epoll_ctl'))
  const lasting = named.flatMap(([call, all]) =>
    (CALLS[call]?.lasting ?? []).flatMap((errno) =>
      some(all)
        .filter(({ which }) => which === 'first' || which === 'middle')
        .map((position) => fault(place, call, errno, position, true)),
    ),
  )
  return [...once, ...lasting]
}

/** The calls of ours in a trace: for each, which of its name they are, counted from 1. */
export function positions({ lines, nodes }) {
  const found = {}
  const counts = {}
  for (const line of lines) {
    const name = /^(\w+)\(/.exec(line)?.[1]
    if (name === undefined) continue
    counts[name] = (counts[name] ?? 0) + 1
    const call = callOf(line, new Set(nodes))
    if (call !== undefined && CALLS[call] !== undefined) (found[call] ??= []).push(counts[name])
  }
  return found
}

/**
 * Lasting faults concern all operations of epoll_ctl(2): strace(1) counts them together. Changing a registration comes
 * behind all that add one, and is looked at by itself too.
 */
function byName(found) {
  const changes = found['epoll_ctl MOD']
  const merged = changes ? { 'epoll_ctl MOD': changes } : {}
  for (const [call, all] of Object.entries(found)) {
    if (call.endsWith('(Node)')) continue
    merged[nameOf(call)] = [...(merged[nameOf(call)] ?? []), ...all].sort((a, b) => a - b)
  }
  return merged
}

/** The first, the second, the middle and the last, each once. */
function some(all) {
  const named = { first: all[0], middle: all[Math.floor(all.length / 2)], second: all[1], last: all.at(-1) }
  return Object.entries(named)
    .filter(([, at], index, entries) => at !== undefined && entries.findIndex(([, other]) => other === at) === index)
    .map(([which, at]) => ({ which, at }))
}

function fault(place, call, errno, { which, at }, lasting) {
  return { ...place, call, errno, which, at, lasting, warm: lasting }
}

/**
 * The part of all faults that a short run tries: each level meets each errno of each call that it makes once, each time
 * in another scenario and at another place.
 */
export function choice(faults) {
  return [...grouped(faults).values()].map((all, turn) => all[(turn * STRIDE) % all.length])
}

/** Shares no divisor with the usual numbers of scenarios and places. */
const STRIDE = 7

function group({ level, call, errno, lasting }) {
  return [level, call, errno, lasting].join(' ')
}

function grouped(faults) {
  const groups = new Map()
  for (const fault of faults) groups.set(group(fault), [...(groups.get(group(fault)) ?? []), fault])
  return groups
}

/** As strace(1) takes it. */
export function injection({ call, errno, at, lasting }) {
  return `${nameOf(call)}:error=${errno}:when=${at}${lasting ? '+' : ''}`
}

/** How a fault is called in a report. */
export function title({ scenario, transport, call, errno, which, lasting }) {
  return `${scenario} (${transport}): ${call} ${errno}, ${lasting ? `from the ${which} call on` : `the ${which} call`}`
}
