import { constants } from 'node:os'

import { SocketError } from '../errors.js'
import type { Source } from '../model/source.js'
import * as native from '../native.js'
import { isUnfinished } from './registration-table.js'
import { sharedPoller } from './shared-poller.js'
import { setTimeout } from './timers.js'

/** Milliseconds between two tries to register what waits. */
const RETRY_DELAY = 100

/** What a try fails with when the source has been closed or registered meanwhile: nothing is left to do. */
const IN_VAIN = new Set([-constants.errno.EBADF, -constants.errno.EEXIST])

/** Sources that could not be registered, with the handles of their queues. */
const waiting = new Map<Source, number>()
let timer: NodeJS.Timeout | undefined

/**
 * Has the shared poller of this thread send the queue of a socket that is in no multiplexer, and close the socket then
 * if it is closing. Never throws: at a limit (EMFILE, ENOSPC, ENOMEM) it is tried again every 100 ms, by a timer that
 * keeps the process alive as queued output does.
 */
export function flushInBackground(source: Source, handle: number): void {
  if (source.poller === undefined && !waiting.has(source) && !tryRegister(source, handle)) {
    waiting.set(source, handle)
    timer ??= setTimeout(retry, RETRY_DELAY)
  }
}

/** Runs `register` on a source without its flush-only registration, and gives that back if `register` throws. */
export function takeOver(source: Source, register: () => void): void {
  const isFlushed = source.poller?.removeFlushOnly(source) || waiting.delete(source)
  try {
    register()
  } catch (error) {
    if (isFlushed) flushInBackground(source, source.handle)
    throw error
  }
}

/** Returns false at a limit. */
function tryRegister(source: Source, handle: number): boolean {
  try {
    sharedPoller().addFlushOnly(source, handle)
    return true
  } catch (error) {
    return error instanceof SocketError && IN_VAIN.has(error.errno!)
  }
}

function retry(): void {
  timer = undefined
  for (const [source, handle] of waiting) {
    if (tryAgain(source, handle)) waiting.delete(source)
  }
  if (waiting.size > 0) timer = setTimeout(retry, RETRY_DELAY)
}

/** Returns false at a limit. */
function tryAgain(source: Source, handle: number): boolean {
  if (source.poller !== undefined || source.queueHandle() !== handle) return true
  if (source.handle === handle || isUnfinished(handle)) return tryRegister(source, handle)
  // It is closing, and a flush has sent its queue: no edge would come for it.
  native.close(handle)
  source.leave(handle)
  return true
}
