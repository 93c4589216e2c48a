// Programs and their servers with a relay between them, that of examples/proxy.ts.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'
import { listen } from 'm-socket'

import { reportOf } from '../../benchmark/wrk.js'
import * as postgres from '../consumers/servers/postgres.js'
import * as redis from '../consumers/servers/redis.js'
import { outcomeOf, start } from '../support/child.js'
import { ANYWHERE, type RunningExample, interrupt, startServer } from '../support/example.js'
import { run } from '../support/fixture.js'
import { testWith } from '../support/programs.js'
import { temporaryDirectory } from '../support/unix.js'
import { until } from '../support/waiting.js'

type Proxy = RunningExample & { readonly port: number }

testWith(['curl'], 'curl_gets_and_posts_through_a_relay_and_keeps_its_connection', async (t) => {
  const body = randomBytes(50_000_000)
  const server = http.createServer((request, response) => {
    if (request.method === 'GET') return void response.end(body)
    const sum = createHash('sha256')
    request.on('data', (chunk: Buffer) => sum.update(chunk)).on('end', () => response.end(sum.digest('hex')))
  })
  const proxy = await before(t, await listening(t, server))
  const folder = temporaryDirectory(t)
  const [sent, received] = [join(folder, 'sent'), join(folder, 'received')]
  writeFileSync(sent, body)
  const url = `http://127.0.0.1:${proxy.port}/`
  const common = ['-sS', '--max-time', '60', '--noproxy', '*', '-H', 'Expect:']
  const args = [...common, '--data-binary', `@${sent}`, url, '--next', ...common, '-o', received, url]
  const { code, stdout, stderr } = await run(t, 'curl', args)
  t.is(code, 0, stderr)
  t.is(stdout, createHash('sha256').update(body).digest('hex'))
  t.true(readFileSync(received).equals(body))
  await interrupt(t, proxy)
})

testWith(['wrk'], 'each_request_of_wrk_is_answered_through_a_relay', async (t) => {
  const server = http.createServer((_request, response) => void response.end('Hello, world!\n'))
  const proxy = await before(t, await listening(t, server))
  const url = `http://127.0.0.1:${proxy.port}/`
  const { stdout } = await run(t, 'wrk', ['--latency', '-c', '50', '-t', '1', '-d', '1s', url])
  t.true(reportOf(stdout).operations > 0)
  await interrupt(t, proxy)
})

testWith(['redis-server', 'redis-cli', 'redis-benchmark'], 'Redis_is_used_through_a_relay', async (t) => {
  const server = await redis.start(temporaryDirectory(t))
  t.teardown(() => server.stop())
  const proxy = await before(t, server.details.port)
  const where = ['-p', String(proxy.port)]
  const value = randomBytes(5_000_000)
  const setting = start(t, 'redis-cli', [...where, '-x', 'SET', 'key'], { stdio: ['pipe', 'pipe', 'pipe'] })
  setting.stdin!.end(value.toString('hex'))
  t.is((await outcomeOf(setting)).stdout, 'OK\n')
  const { stdout: got } = await run(t, 'redis-cli', [...where, '--raw', 'GET', 'key'])
  t.is(got, `${value.toString('hex')}\n`)
  for (const pipeline of ['1', '16']) {
    const args = [...where, '-t', 'set,get,lrange_100', '-n', '20000', '-c', '50', '-P', pipeline, '--csv']
    const { code, stdout, stderr } = await run(t, 'redis-benchmark', args)
    t.is(code, 0, stderr)
    t.regex(stdout, /^"GET"/m)
    t.notRegex(stderr + stdout, /error/i)
  }
  await interrupt(t, proxy)
})

testWith(['initdb', 'psql'], 'psql_queries_and_copies_both_ways_through_a_relay', async (t) => {
  const server = await postgres.start(temporaryDirectory(t))
  t.teardown(() => server.stop())
  const proxy = await before(t, server.details.port)
  const psql = async (sslmode: string, sql: string, input = ''): Promise<string> => {
    const target = `host=127.0.0.1 port=${proxy.port} user=postgres dbname=postgres sslmode=${sslmode}`
    const child = start(t, 'psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', target, '-c', sql], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    child.stdin!.end(input)
    const { code, stdout, stderr } = await outcomeOf(child)
    t.is(code, 0, stderr)
    return stdout
  }
  const rows = Array.from({ length: 50_000 }, (_, at) => `${at}\t${'x'.repeat(at % 100)}`)
  for (const sslmode of ['disable', 'require']) {
    await psql(sslmode, 'DROP TABLE IF EXISTS copied; CREATE TABLE copied (at int, text text)')
    await psql(sslmode, 'COPY copied FROM STDIN', rows.join('\n'))
    t.is(await psql(sslmode, 'SELECT count(*), sum(length(text)) FROM copied'), '50000|2475000\n')
    t.is(await psql(sslmode, 'COPY (SELECT * FROM copied ORDER BY at) TO STDOUT'), `${rows.join('\n')}\n`)
  }
  await interrupt(t, proxy)
})

testWith(['socat'], 'socat_sends_a_gibibyte_through_a_relay', async (t) => {
  const size = 2 ** 30
  let received = 0
  const sink = listen({
    host: '127.0.0.1',
    receiveInto: Buffer.alloc(2 ** 20),
    socket: {
      data: (_, chunk) => void (received += chunk.length),
      end: (connection) => void connection.end(String(connection.bytesRead)),
    },
  })
  t.teardown(() => sink.stop(true))
  const proxy = await before(t, sink.port!)
  const zeros = openSync('/dev/zero', 'r')
  const args = ['-b', '1048576', '-t', '60', `-,readbytes=${size}`, `TCP:127.0.0.1:${proxy.port}`]
  const sender = start(t, 'socat', args, { stdio: [zeros, 'pipe', 'pipe'] })
  closeSync(zeros)
  const { code, stdout, stderr } = await outcomeOf(sender)
  t.is(code, 0, stderr)
  t.is(stdout, String(size))
  await until(() => received === size)
  await interrupt(t, proxy)
})

/** Starts the proxy in front of a server. */
async function before(t: ExecutionContext, port: number): Promise<Proxy> {
  return startServer(t, 'proxy', [...ANYWHERE, `127.0.0.1:${port}`])
}

async function listening(t: ExecutionContext, server: http.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}
