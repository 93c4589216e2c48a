import { readlinkSync } from 'node:fs'

import test, { type Implementation } from 'ava'
import * as native from 'm-socket/native'

import { IPPROTO_TCP, SOL_SOCKET, SO_COOKIE, TCP_INFO } from '../../lib/options/constants.js'
import type { Family } from '../../lib/native.js'
import { type SettableOptionName, getOption, setOption } from '../../lib/options/index.js'

/** An emulator answers for /proc/self itself; for /proc/thread-self the kernel does, and what it runs is the emulator. */
export const EMULATED = readlinkSync('/proc/self/exe') !== readlinkSync('/proc/thread-self/exe')

/** What the emulator that this runs in lacks, if trying it shows that it does; never anything on a real machine. */
export function lacking(what: string, works: () => boolean): string | undefined {
  return EMULATED && !works() ? what : undefined
}

type Declare = (title: string, run: Implementation<[]>) => void

/** Declares a test that is skipped when something is lacking; its title then says what. */
export function testUnless(
  lack: string | undefined,
  title: string,
  run: Implementation<[]>,
  declare: Declare = test,
): void {
  if (lack === undefined) declare(title, run)
  else test.skip(`${title} (emulated: ${lack})`, run)
}

/** An option that cannot be read, or set, or read again; a missing privilege is no lack. */
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

/** An option of more than four bytes that is read as an int, or not at all. */
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
