import test from 'ava'

import { runFixture } from '../support/fixture.js'

const EXPECTED: Record<string, RegExp> = {
  accepted: /^from the child: accepted$/m,
  'of a Unix socket': /^from the child: unix$/m,
  connected: /^from the child: connected$/m,
  'kept open': /^from the child: kept$/m,
  'from the child': /^child read to the child$/m,
  'not connected': /^child got no handle destroyed$/m,
  'several at once': /^from the child: number 0,.*number 5$/m,
  'standard streams': /^through cat$/m,
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`a_socket_goes_to_another_process: ${name}`, async (t) => {
    const outputs: string[] = []
    for (const module of ['m-socket/net', 'node:net']) {
      const { stdout, stderr, code } = await runFixture(t, 'sent-sockets.ts', module, name)
      t.is(stderr, '', module)
      t.is(code, 0, module)
      t.regex(stdout, expected, module)
      // The lines of two processes come in any order.
      outputs.push(stdout.split('\n').sort().join('\n'))
    }
    t.is(outputs[0], outputs[1])
  })
}
