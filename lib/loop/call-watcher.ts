import type { Registration, Watcher } from '../model/event.js'
import { throwLater } from './timers.js'

/** What a watcher throws is an uncaught exception of its own, and does not end the batch. */
export function callWatcher(registration: Registration, watcher: Watcher, chunk: Buffer | undefined): void {
  try {
    watcher.onEvent(registration, chunk)
  } catch (error) {
    throwLater(error)
  }
}

/** As {@link callWatcher}, of the listener of a socket that was accepted. */
export function callAccepted(watcher: Watcher, handle: number, errno: number): void {
  try {
    watcher.onAccepted!(handle, errno)
  } catch (error) {
    throwLater(error)
  }
}

/** What a watcher throws is an uncaught exception of its own. */
export function callDetached(watcher: Watcher | undefined): void {
  attempt(() => watcher?.onDetached?.())
}

/** Calls `act`; what it throws becomes an uncaught exception. */
export function attempt(act: () => void): void {
  try {
    act()
  } catch (error) {
    throwLater(error)
  }
}
