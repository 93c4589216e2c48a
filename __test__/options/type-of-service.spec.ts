import test from 'ava'
import { Socket } from 'm-socket'

import { IPPROTO_IP, IPPROTO_IPV6, IPV6_TCLASS, IP_TOS } from '../../lib/options/constants.js'
import { inetAddressOf, resetAtEnd, testListener } from '../support/pair.js'
import { acceptNext } from '../support/waiting.js'

for (const peer of ['127.0.0.1', '::1']) {
  test(`a_socket_of_a_dual_stack_listener_has_the_type_of_service_of_both_protocols: ${peer}`, async (t) => {
    const listener = testListener(t, 'IPv6', { host: '::' })
    resetAtEnd(t, Socket.connect({ host: peer, port: inetAddressOf(listener).port }))
    const server = resetAtEnd(t, await acceptNext(listener))
    server.setOption('typeOfService', 0x10)
    t.is(server.getOption('typeOfService'), 0x10)
    t.is(server.getsockopt(IPPROTO_IP, IP_TOS)[0], 0x10)
    t.is(server.getsockopt(IPPROTO_IPV6, IPV6_TCLASS)[0], 0x10)
  })
}

test('the_kernel_keeps_the_bits_of_congestion_notification_to_itself', (t) => {
  const listener = testListener(t)
  listener.setOption('typeOfService', 0x13)
  t.is(listener.getOption('typeOfService'), 0x10)
  for (const bad of [-1, 256, 1.5]) {
    t.throws(() => listener.setOption('typeOfService', bad), { code: 'ERR_OUT_OF_RANGE' })
  }
})
