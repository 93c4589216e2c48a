import type { Event, Target } from 'm-socket'

const WORDS = ['readable', 'writable', 'readEnded', 'hangup', 'error'] as const

/** What an event says, in words and for good: the next wait writes the event itself anew. */
export function flagsOf(event: Event): string {
  return WORDS.filter((word) => event[word]).join(' ')
}

/** What a batch says of a target; undefined when it says nothing. */
export function flagsFor(target: Target, events: readonly Event[]): string | undefined {
  const event = events.find((candidate) => candidate.target === target)
  return event && flagsOf(event)
}

/** Whom a batch tells of. */
export function targetsOf(events: readonly Event[]): Target[] {
  return events.map(({ target }) => target)
}
