// Judges a run: what is wrong with it, and what came of the fault.

import { OF_THE_LOOP, SHARED, callOf, nameOf } from './calls.js'
import { DOWN, UP } from './pattern.js'
import { SCENARIOS } from './scenarios.js'

/** Calls within a lasting fault of one second: a closed loop makes many thousands. */
const MOST_CALLS = 1500
/** The part of a core that an idle window may use, and the milliseconds from which on it is looked at. */
const MOST_CPU = 0.6
const IDLE_WINDOW = 800

/**
 * @returns {{ problems: string[], outcome: string | undefined }} `outcome` is undefined where the fault was not met: a
 *   run makes slightly other calls each time
 */
export function verdict(fault, run) {
  const { code, signal, isLate, stderr, result } = run
  const injected = run.lines.filter((line) => line.includes('(INJECTED)'))
  if (injected.length > 0 && !isMet(fault, run, injected)) return { problems: [], outcome: undefined }
  if (signal || isLate || code !== 0 || result === undefined) {
    const how = isLate ? 'the program stood still and was killed' : signal ? `killed by ${signal}` : `exit code ${code}`
    return { problems: [`${how}${stderr ? `: ${stderr.trim().slice(0, 600)}` : ''}`], outcome: 'crashed' }
  }
  if (injected.length === 0) return { problems: [], outcome: undefined }
  const problems = [
    ...endings(fault, run, injected),
    ...errors(fault, result),
    ...result.sides.flatMap((side) => life(side)),
    ...losses(fault, run),
    ...neighbours(fault, result),
  ]
  return { problems, outcome: outcomeOf(result) }
}

/** Whether a call of ours failed, and the one that was meant. */
function isMet({ call, lasting }, { nodes }, injected) {
  return lasting || injected.every((line) => callOf(line, new Set(nodes)) === call)
}

/** It ends, rests meanwhile, and leaves nothing open. */
function endings({ call, lasting }, { result, lines }, injected) {
  const { outcome, window, left } = result
  const problems = []
  if (outcome === 'hung') problems.push('it never ended')
  if (lasting && injected.length > MOST_CALLS)
    problems.push(`it spins: ${injected.length} failed calls in ${Math.round(window.wall)} ms`)
  if (window.wall > IDLE_WINDOW && window.cpu > MOST_CPU * window.wall)
    problems.push(
      `it spins: ${Math.round(window.cpu)} of ${Math.round(window.wall)} ms on the processor, ${lines.length} calls`,
    )
  // A close(2) that is said to have failed has not been made at all.
  if (left.length > 0 && call !== 'close') problems.push(`it leaves open ${left.join(', ')}`)
  return problems
}

/** Errors are typed, and come on the ways that are meant for them. */
function errors({ call }, { errors, sides }) {
  const all = [...errors, ...sides.flatMap((side) => [...side.errors, ...(side.closeError ? [side.closeError] : [])])]
  const untyped = all
    .filter(({ isTyped }) => !isTyped)
    .map(({ way, name, code, message }) => `untyped error (${way}): ${name} ${code} ${message}`)
  const uncaught = errors
    .filter(({ way, isTyped }) => way === 'uncaught' && isTyped && !OF_THE_LOOP.has(nameOf(call)))
    .map(({ message }) => `uncaught although it has an owner: ${message}`)
  const ofClosing = errors
    .filter(({ where }) => where === 'clean-up')
    .map(({ message }) => `closing throws: ${message}`)
  return [...untyped, ...uncaught, ...ofClosing]
}

/** `open`, then at most one error, then `close`, once, and nothing. */
function life({ id, opened, closed, late, errors, closeError }) {
  const name = `connection ${id}`
  const problems = []
  if (opened > 1) problems.push(`${name}: opened ${opened} times`)
  if (closed > 1) problems.push(`${name}: closed ${closed} times`)
  if (opened === 1 && closed === 0) problems.push(`${name}: opened and never closed`)
  if (opened === 0 && closed > 0) problems.push(`${name}: closed without having been opened`)
  if (late.length > 0) problems.push(`${name}: ${late.join(', ')} behind the close`)
  if (errors.length > 1)
    problems.push(`${name}: ${errors.length} errors: ${errors.map(({ message }) => message).join('; ')}`)
  if (closeError && !closeError.isReported && errors.length > 0)
    problems.push(`${name}: closed for another error than the one reported`)
  return problems
}

/** What was accepted arrives, unless an error says that it does not; what comes is what was sent. */
function losses({ scenario }, { result, peers }) {
  const problems = []
  const { isSilent } = SCENARIOS[scenario]
  for (const { id, opened, errors, closeError, accepted, ended, received, isRight } of result.sides) {
    const peer = peers.find(({ seed }) => seed === id)
    const got = peer?.received ?? 0
    if (!isRight) problems.push(`connection ${id}: received other bytes than were sent`)
    if (peer && !peer.isRight) problems.push(`connection ${id}: the peer received other bytes than were sent`)
    if (got > accepted) problems.push(`connection ${id}: the peer received ${got} bytes, ${accepted} were accepted`)
    if (errors.length > 0 || closeError || opened === 0) continue
    if (isSilent) continue
    if (got < accepted) problems.push(`connection ${id}: lost ${accepted - got} bytes of ${accepted}, without an error`)
    else if (accepted < UP) problems.push(`connection ${id}: ended after ${accepted} bytes, without an error`)
    else if (received < DOWN || !ended)
      problems.push(`connection ${id}: received ${received} of ${DOWN} bytes, without an error`)
  }
  if (!result.sides.some(isReported) && result.errors.length === 0) {
    const broken = peers.filter(({ error }) => error !== undefined).length
    if (broken > 0 && !isSilent) problems.push(`${broken} peers met a reset, and no error was reported here`)
  }
  return problems
}

/** One failed call of one connection leaves the others as they are. */
function neighbours({ call, lasting }, { sides }) {
  if (lasting || SHARED.has(call)) return []
  const harmed = sides.filter((side) => side.errors.length > 0 || side.closeError).length
  return harmed > 1 ? [`${harmed} connections failed for one failed call`] : []
}

function isReported({ errors, closeError }) {
  return errors.length > 0 || closeError !== undefined
}

/** In the words of the page. */
function outcomeOf({ outcome, sides, errors }) {
  const ways = new Set([...errors.map(({ way }) => way), ...sides.flatMap((side) => side.errors.map(({ way }) => way))])
  const reports = [
    ways.has('throw') ? 'thrown' : '',
    ways.has('reject') ? 'rejected' : '',
    ways.has('error') ? 'error' : '',
    ways.has('uncaught') ? 'uncaught' : '',
  ].filter(Boolean)
  if (outcome === 'lifted') return [...reports, 'later'].join(' + ')
  return reports.length > 0 ? reports.join(' + ') : 'goes on'
}
