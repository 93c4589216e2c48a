import type { ReadyEvent, Target } from 'm-socket'

const FLAGS = ['readable', 'writable', 'readEnded', 'hangup', 'error'] as const

/** The flags of an event as a string, which stays when the next wait reuses the event object. */
export function flagsOf(event: ReadyEvent): string {
  return FLAGS.filter((flag) => event[flag]).join(' ')
}

/** The flags that a batch reports for a target; undefined if it has no event of it. */
export function flagsFor(target: Target, events: readonly ReadyEvent[]): string | undefined {
  const event = events.find((candidate) => candidate.target === target)
  return event && flagsOf(event)
}

/** The targets of a batch, in order. */
export function targetsOf(events: readonly ReadyEvent[]): Target[] {
  return events.map(({ target }) => target)
}
