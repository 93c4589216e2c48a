import { rollingRestart } from '../support/rolling-restart.js'
import { testWith } from '../support/programs.js'
import { temporaryDirectory } from '../support/unix.js'

testWith(['haproxy', 'wrk'], 'servers_behind_HAProxy_are_restarted_and_no_request_fails', async (t) => {
  const { requests, served, wrong, firstWrong, restarts } = await rollingRestart(temporaryDirectory(t), 100, 15)
  t.log(`${requests} requests, ${restarts} restarts`)
  t.true(restarts >= 2)
  t.true(requests > 0 && served >= requests)
  t.is(wrong, 0, firstWrong)
})
