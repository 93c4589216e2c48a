import type { Registration, Watcher } from '../model/event.js'
import { throwLater } from './timers.js'

/** What a watcher throws is an uncaught exception of its own, and does not end the batch. */
export function callWatcher(
  registration: Registration,
  watcher: Watcher,
  isReady: boolean,
  isDetached: boolean,
  chunk: Buffer | undefined,
): void {
  try {
    if (isReady) watcher.onEvent(registration, chunk)
  } catch (error) {
    throwLater(error)
  }
  if (isDetached) callDetached(watcher)
}

/** A function of its own, since its closure would cost each call of {@link callWatcher} a context on the heap. */
export function callDetached(watcher: Watcher): void {
  attempt(() => watcher.onDetached?.())
}

/** Calls `act`; what it throws becomes an uncaught exception. */
export function attempt(act: () => void): void {
  try {
    act()
  } catch (error) {
    throwLater(error)
  }
}
