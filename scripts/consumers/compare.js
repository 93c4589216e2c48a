// Holds what the steps came to against what is expected.

import { isDeepStrictEqual } from 'node:util'

/** The longest outcome that is printed, in characters. */
const LONGEST = 2000

/** @returns {{ title: string, problems: string[] }[]} one for each step, and one for how the program ran */
export function compare(results, expected) {
  const sides = Object.entries(results)
  const steps = new Set([...Object.keys(expected), ...sides.flatMap(([, { outcomes }]) => Object.keys(outcomes))])
  const compared = [...steps].map((step) => ({
    title: step,
    problems: sides.flatMap(([side, { outcomes }]) => difference(side, outcomes[step], expected[step])),
  }))
  const lives = sides.flatMap(([side, { problems }]) => problems.map((problem) => `on ${side}: ${problem}`))
  return [...compared, { title: 'ends by itself, and its sockets are those of its side', problems: lives }]
}

function difference(side, actual, expected) {
  if (actual === undefined) return [`on ${side}: the program ended before`]
  if (expected === undefined) return [`no outcome is recorded; on ${side}: ${text(actual)}`]
  if (isDeepStrictEqual(actual, expected)) return []
  return [`on ${side}:  ${text(actual)}\nexpected: ${text(expected)}`]
}

function text(outcome) {
  const whole = JSON.stringify(outcome) ?? 'no outcome'
  return whole.length > LONGEST ? `${whole.slice(0, LONGEST)} …` : whole
}
