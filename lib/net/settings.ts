import { constants } from 'node:os'

import { SocketError, invalidArgType, outOfRange } from '../errors.js'
import type { Source } from '../model/source.js'
import type { SettableOptions } from '../options/index.js'
import { functionOption, int32Option } from './arguments.js'
import { SocketBase } from './base.js'
import { inContextOf } from './context.js'
import { HANDLE } from './fields.js'
import { errnoException } from './errors.js'
import type { SocketHandle } from './handle.js'
import { IdleTimer } from './idle-timer.js'

/** What is set of the kernel's options; before the socket has connected, what is to be set then. */
export interface Settings {
  noDelay: boolean
  keepAlive: boolean
  /** In seconds, as interval. */
  keepAliveDelay: number
  keepAliveInterval: number | undefined
  keepAliveCount: number | undefined
  typeOfService: number | undefined
}

export const SETTINGS = Symbol('settings')
const TIMER = Symbol('timer')
const UNSENT = Symbol('unsent')

const TIMEOUT_MAX = 2 ** 31 - 1
/** Those of libuv, which sets them with each delay: uv_tcp_keepalive. */
const PROBE_INTERVAL = 1
const PROBE_COUNT = 10

export const DEFAULT_SETTINGS: Readonly<Settings> = {
  noDelay: false,
  keepAlive: false,
  keepAliveDelay: 0,
  keepAliveInterval: undefined,
  keepAliveCount: undefined,
  typeOfService: undefined,
}

interface KeepAliveOptions {
  readonly enable?: unknown
  readonly initialDelay?: number
  readonly interval?: number
  readonly count?: number
}

/** What can be set on a stream: options of the kernel, the time without traffic, and what keeps the process alive. */
export abstract class SocketSettings extends SocketBase {
  declare [SETTINGS]: Settings;
  declare [TIMER]: IdleTimer | undefined;
  /** What was unsent when the time was up last. */
  declare [UNSENT]: number | undefined

  setNoDelay(enable?: unknown): this {
    const noDelay = enable === undefined || Boolean(enable)
    if (noDelay === this[SETTINGS].noDelay) return this
    change(this, { noDelay })
    const handle = tcpHandle(this)
    if (handle) setNoDelay(handle.socket!, noDelay)
    return this
  }

  setKeepAlive(enable?: unknown, delay?: number, interval?: number, count?: number): this {
    if (enable !== null && typeof enable === 'object') {
      const options = enable as KeepAliveOptions
      return this.setKeepAlive(options.enable, options.initialDelay, options.interval, options.count)
    }
    const settings = {
      keepAlive: Boolean(enable),
      keepAliveDelay: seconds(delay),
      keepAliveInterval: interval === undefined ? undefined : seconds(interval),
      keepAliveCount: count,
    }
    if (!hasKeepAlive(this[SETTINGS], settings)) {
      change(this, settings)
      const handle = tcpHandle(this)
      if (handle) setKeepAlive(handle.socket!, this[SETTINGS])
    }
    return this
  }

  setTypeOfService(tos: number): this {
    if (Number.isNaN(tos)) throw invalidArgType('tos', 'of type number', tos)
    change(this, { typeOfService: int32Option(tos, 'tos', 0, 255) })
    const handle = tcpHandle(this)
    if (handle) setTypeOfService(handle, tos)
    return this
  }

  getTypeOfService(): number {
    const handle = tcpHandle(this)
    if (!handle) return this[SETTINGS].typeOfService ?? 0
    return asNode('getTypeOfService', () => handle.socket!.getOption('typeOfService'))
  }

  setTimeout(milliseconds: number, callback?: () => void): this {
    if (this.destroyed) return this
    this.timeout = milliseconds
    const duration = checkDuration(milliseconds)
    if (duration > 0) startTimer(this, duration)
    else this[TIMER]?.stop()
    if (callback === undefined) return this
    functionOption(callback, 'callback')
    return duration > 0 ? this.once('timeout', callback) : this.removeListener('timeout', callback)
  }

  /** The time is up, unless a write made progress meanwhile. */
  _onTimeout(): void {
    const unsent = this[HANDLE]?.unsent ?? 0
    const isProgress = unsent > 0 && unsent !== this[UNSENT]
    this[UNSENT] = unsent
    if (isProgress) this._unrefTimer()
    else this.emit('timeout')
  }

  /** Something happened: the time begins again. */
  _unrefTimer(): void {
    this[TIMER]?.refresh()
    if (this._parent) (this._parent as SocketSettings)._unrefTimer()
  }

  ref(): this {
    const handle = this[HANDLE]
    if (handle) handle.ref()
    else this.once('connect', () => this.ref())
    return this
  }

  unref(): this {
    const handle = this[HANDLE]
    if (handle) handle.unref()
    else this.once('connect', () => this.unref())
    return this
  }
}

/** Whether keep-alive is set so already; what it is set to has no meaning while it is off. */
export function hasKeepAlive(settings: Settings, wanted: Partial<Settings>): boolean {
  if (settings.keepAlive !== wanted.keepAlive) return false
  return (
    !settings.keepAlive ||
    (settings.keepAliveDelay === wanted.keepAliveDelay &&
      settings.keepAliveInterval === wanted.keepAliveInterval &&
      settings.keepAliveCount === wanted.keepAliveCount)
  )
}

/** Sets what was asked for before the socket was connected. */
export function applySettings(socket: SocketSettings): void {
  const handle = tcpHandle(socket)
  const settings = socket[SETTINGS]
  if (!handle || settings === DEFAULT_SETTINGS) return
  if (settings.noDelay) setNoDelay(handle.socket!, true)
  if (settings.keepAlive) setKeepAlive(handle.socket!, settings)
  if (settings.typeOfService === undefined) return
  try {
    setTypeOfService(handle, settings.typeOfService)
  } catch (error) {
    socket.emit('error', error)
  }
}

function startTimer(socket: SocketSettings, duration: number): void {
  if (socket[TIMER]?.duration === duration) return socket[TIMER].start()
  socket[TIMER]?.clear()
  socket[TIMER] = inContextOf(socket, () => new IdleTimer(duration, () => socket._onTimeout()))
}

/** The time without traffic has no meaning any more. */
export function stopTimers(socket: SocketSettings): void {
  if (socket[TIMER]) {
    socket[TIMER].clear()
    socket[TIMER] = undefined
  }
  if (socket._parent) stopTimers(socket._parent as SocketSettings)
}

/** Streams that set nothing share one object. */
export function change(socket: SocketSettings, settings: Partial<Settings>): void {
  socket[SETTINGS] = { ...socket[SETTINGS], ...settings }
}

/** The handle of a socket that has options of TCP. */
function tcpHandle(socket: SocketSettings): SocketHandle | undefined {
  const handle = socket[HANDLE]
  return handle?.socket && !handle.isUnix ? handle : undefined
}

/** Node ignores what setsockopt(2) answers to these two. */
export function setNoDelay(socket: Source, enable: boolean): void {
  ignoringErrors(() => socket.setOption('noDelay', enable))
}

export function setKeepAlive(socket: Source, settings: Settings): void {
  ignoringErrors(() => socket.setOption('keepAlive', keepAliveOption(settings)))
}

/** What the option of the kernel is set to. */
function keepAliveOption(settings: Settings): SettableOptions['keepAlive'] {
  const { keepAlive, keepAliveDelay, keepAliveInterval = PROBE_INTERVAL, keepAliveCount = PROBE_COUNT } = settings
  return keepAlive && keepAliveDelay > 0
    ? { idle: keepAliveDelay * 1000, interval: keepAliveInterval * 1000, count: keepAliveCount }
    : keepAlive
}

function setTypeOfService({ socket }: SocketHandle, tos: number): void {
  asNode('setTypeOfService', () => socket!.setOption('typeOfService', tos))
}

function ignoringErrors(act: () => void): void {
  try {
    act()
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
  }
}

function asNode<T>(syscall: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof SocketError)) throw error
    throw errnoException(error.errno ?? -constants.errno.EBADF, syscall)
  }
}

function seconds(milliseconds: number | undefined): number {
  return ~~(Number(milliseconds) / 1000)
}

function checkDuration(milliseconds: number): number {
  if (typeof milliseconds !== 'number') throw invalidArgType('msecs', 'of type number', milliseconds)
  if (milliseconds < 0 || !Number.isFinite(milliseconds)) {
    throw outOfRange('msecs', 'a non-negative finite number', milliseconds)
  }
  if (milliseconds <= TIMEOUT_MAX) return milliseconds
  process.emitWarning(
    `${milliseconds} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${TIMEOUT_MAX}.`,
    'TimeoutOverflowWarning',
  )
  return TIMEOUT_MAX
}
