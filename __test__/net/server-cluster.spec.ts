import test from 'ava'

import { runFixture } from '../support/fixture.js'
import { freePath } from '../support/unix.js'

for (const policy of ['SCHED_RR', 'SCHED_NONE']) {
  for (const [name, where] of [
    ['a_port', { port: 0 }],
    ['a_path', undefined],
  ] as const) {
    test.serial(`two_workers_of_a_cluster_serve_${name}_by_${policy}`, async (t) => {
      for (const module of ['m-socket/net', 'node:net']) {
        const options = JSON.stringify(where ?? { path: freePath(t) })
        const { stdout, stderr, code } = await runFixture(t, 'cluster-servers.ts', module, policy, options)
        t.is(stderr, '')
        t.regex(stdout, /^one address true (4|-1)\nexit codes 0 0\n$/, module)
        t.is(code, 0)
      }
    })
  }
}

test.serial('a_worker_of_a_cluster_outlives_connections_that_are_reset_before_it_has_them', async (t) => {
  for (const module of ['m-socket/net', 'node:net']) {
    const { stdout, stderr } = await runFixture(t, 'cluster-resets.ts', module)
    t.is(stderr, '', module)
    t.is(stdout, 'answer\n', module)
  }
})
