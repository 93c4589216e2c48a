import test from 'ava'
import { SocketError } from 'm-socket'

import { connectedPair } from '../support/pair.js'

const EXPECTED = { instanceOf: SocketError, code: 'ENOTSUP', message: /level \d+, option \d+ is refused: .*memory/ }

test('getsockopt_of_an_option_that_writes_elsewhere_is_refused_and_says_why', async (t) => {
  const { client } = await connectedPair(t)
  // SO_GET_FILTER, TCP_ZEROCOPY_RECEIVE, TCP_AO_GET_KEYS, MPTCP_FULL_INFO.
  for (const [level, name] of [
    [1, 26],
    [6, 35],
    [6, 41],
    [284, 4],
  ] as const) {
    t.throws(() => client.getsockopt(level, name), { ...EXPECTED, message: /^getsockopt ENOTSUP: .*refused/ })
  }
})

test('setsockopt_of_an_option_that_has_pointers_is_refused_and_says_why', async (t) => {
  const { client } = await connectedPair(t)
  // SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, IPT_SO_SET_REPLACE.
  for (const [level, name] of [
    [1, 26],
    [1, 51],
    [0, 64],
  ] as const) {
    t.throws(() => client.setsockopt(level, name, new Uint8Array(64)), EXPECTED)
  }
})

test('ENOTSUP_of_the_kernel_itself_is_not_taken_for_a_refusal', async (t) => {
  const { client } = await connectedPair(t, 'unix')
  const error = t.throws(() => client.getsockopt(6, 1), { instanceOf: SocketError, code: 'ENOTSUP' })
  t.is(error?.message, 'getsockopt ENOTSUP: level 6, option 1')
})
