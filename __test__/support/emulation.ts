import { readlinkSync } from 'node:fs'

import test, { type Implementation } from 'ava'
import * as native from 'm-socket/native'

import type { Family } from '../../lib/native.js'
import { IPPROTO_TCP, SOL_SOCKET, SO_COOKIE, TCP_INFO } from '../../lib/options/constants.js'
import { type SettableOptionName, getOption, setOption } from '../../lib/options/index.js'

/** An emulator answers for /proc/self; for /proc/thread-self the kernel does, and names the emulator. */
export const EMULATED = readlinkSync('/proc/self/exe') !== readlinkSync('/proc/thread-self/exe')

/** Returns `what` if this runs in an emulator and `works()` is false there; undefined on a real machine. */
export function lacking(what: string, works: () => boolean): string | undefined {
  return EMULATED && !works() ? what : undefined
}

type Declare = (title: string, run: Implementation<[]>) => void

/** Declares a test that is skipped if the emulator lacks something, which its title then names. */
export function testUnless(
  lack: string | undefined,
  title: string,
  run: Implementation<[]>,
  declare: Declare = test,
): void {
  if (lack === undefined) declare(title, run)
  else test.skip(`${title} (emulated: ${lack})`, run)
}

/** The name of an option that cannot be read, set and read again; a missing privilege (EPERM) does not count. */
export function lackingOption(
  name: SettableOptionName,
  value = (before: never): unknown => before,
): string | undefined {
  return lacking(name, () =>
    withSocket(name === 'ipv6Only' ? 6 : 4, (handle, family) => {
      try {
        setOption(handle, family, name, value(getOption(handle, family, name) as never) as never)
        getOption(handle, family, name)
        return true
      } catch (error) {
        return (error as { code?: string }).code === 'EPERM'
      }
    }),
  )
}

/** Returns `what` if an option of more than four bytes is read as an int, or not at all. */
function lackingBytes(what: string, level: number, constant: number): string | undefined {
  return lacking(what, () =>
    withSocket(4, (handle) => native.getOption(handle, level, constant, new Uint8Array(512)) > 4),
  )
}

export const lackingCookie = lackingBytes('SO_COOKIE', SOL_SOCKET, SO_COOKIE)
export const lackingInfo = lackingBytes('TCP_INFO', IPPROTO_TCP, TCP_INFO)

function withSocket<T>(family: Family, act: (handle: number, family: Family) => T): T {
  const handle = native.open(family)
  try {
    return act(handle, family)
  } finally {
    native.close(handle)
  }
}
