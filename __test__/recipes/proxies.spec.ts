import { once } from 'node:events'
import http from 'node:http'
import { type AddressInfo, connect } from 'node:net'

import test, { type ExecutionContext } from 'ava'
import { Listener } from 'm-socket'

import { type Outcome, sendSignal } from '../support/child.js'
import { run } from '../support/fixture.js'
import { isAsShown, shownOutput, startProgram, startServing } from '../support/pages.js'
import { freePort } from '../support/ports.js'
import { testWith } from '../support/programs.js'

const HELLO = 'hello from the other side\n'

testWith(['curl'], 'port-forwarder: curl_gets_an_answer_and_the_bytes_are_counted', async (t) => {
  const page = 'docs/recipes/port-forwarder.md'
  const web = await webServer(t)
  const forwarder = await startServing(t, 'recipes/port-forwarder', ['127.0.0.1:0', `127.0.0.1:${web.port}`])
  const { stdout } = await curl(t, `http://127.0.0.1:${forwarder.port}/`)
  isAsShown(t, page, 'curl', stdout)
  const line = await forwarder.line()
  t.regex(line!, /^127\.0\.0\.1 port \d+: \d+ bytes there, \d+ bytes back$/)
  sendSignal(forwarder.child, 'SIGTERM')
  const [total] = await forwarder.rest()
  t.is(total, `1 relayed, 0 failed, ${line!.split(': ')[1]}`)
  const printed = [forwarder.first, line, '^C', total].join('\n')
  const plain = (text: string) => text.replaceAll(/\d+/g, 'N')
  t.is(plain(printed), plain(shownOutput(page, 'node port-forwarder.ts')))
})

test.serial('port-forwarder: a_target_that_refuses_is_reported_and_the_client_is_reset', async (t) => {
  const target = `127.0.0.1:${freePort()}`
  const forwarder = await startServing(t, 'recipes/port-forwarder', ['127.0.0.1:0', target])
  const client = connect(forwarder.port, '127.0.0.1')
  client.write('hello')
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  t.is(error.code, 'ECONNRESET')
  sendSignal(forwarder.child, 'SIGTERM')
  t.deepEqual(await forwarder.rest(), ['0 relayed, 1 failed, 0 bytes there, 0 bytes back'])
  t.regex(await forwarder.stderr, new RegExp(`^127\\.0\\.0\\.1 port \\d+: connect ECONNREFUSED ${target}\n$`))
})

testWith(['curl'], 'socks5: curl_reaches_names_and_addresses', async (t) => {
  const page = 'docs/recipes/socks5.md'
  const web = await webServer(t)
  const proxy = await startServing(t, 'recipes/socks5', ['127.0.0.1', '0'])
  const through = (kind: string, host: string) =>
    curl(t, kind, `127.0.0.1:${proxy.port}`, `http://${host}:${web.port}/`)
  isAsShown(t, page, 'curl --socks5-hostname', (await through('--socks5-hostname', 'localhost')).stdout)
  t.is((await through('--socks5', '127.0.0.1')).stdout, HELLO)
  t.is((await through('--socks5', '[::1]')).stdout, HELLO)
  const refused = await curl(t, '--socks5', `127.0.0.1:${proxy.port}`, `http://127.0.0.1:${freePort()}/`)
  t.is(refused.code, 97)
  t.regex(refused.stderr, /\(5\)/)
})

testWith(['curl'], 'socks5: a_password_is_wanted_where_there_is_one', async (t) => {
  const web = await webServer(t)
  const env = { ...process.env, SOCKS_USER: 'me:secret' }
  const proxy = await startServing(t, 'recipes/socks5', ['127.0.0.1', '0'], { env })
  const url = `http://127.0.0.1:${web.port}/`
  const through = (user: string) => curl(t, '--socks5', `${user}127.0.0.1:${proxy.port}`, url)
  t.is((await through('me:secret@')).stdout, HELLO)
  for (const user of ['me:secreT@', 'me:@', '']) t.is((await through(user)).code, 97, user)
  t.is(await answerTo(proxy.port, '05 01 00'), '05ff')
  t.is(await answerTo(proxy.port, '05 02 00 02', '01 02 6d 65 01 78'), '05020101')
})

test.serial('socks5: replies_are_those_of_RFC_1928', async (t) => {
  const proxy = await startServing(t, 'recipes/socks5', ['127.0.0.1', '0'])
  const reply = (code: string) => `050005${code}0001000000000000`
  const port = freePort().toString(16).padStart(4, '0')
  const address = `7f000001${port}`
  t.is(await answerTo(proxy.port, '050100', `05010001${address}`), reply('05'))
  t.is(await answerTo(proxy.port, '050100', `05020001${address}`), reply('07'))
  t.is(await answerTo(proxy.port, '050100', `05010009${address}`), reply('08'))
  t.is(await answerTo(proxy.port, '0401'), '', 'SOCKS4')
  // The request may come in any pieces, and with it what is meant for the target.
  const target = http.createServer((_, response) => response.end('x')).listen(0, '127.0.0.1')
  t.teardown(() => target.close())
  await once(target, 'listening')
  const to = (target.address() as AddressInfo).port.toString(16).padStart(4, '0')
  const request = Buffer.from('GET / HTTP/1.0\r\n\r\n').toString('hex')
  const whole = await answerTo(proxy.port, `05010005010003${hexName('localhost')}${to}${request}`)
  t.true(whole.startsWith(reply('00')))
  t.true(Buffer.from(whole, 'hex').toString('latin1').endsWith('\r\n\r\nx'))
})

test.serial('port-scanner: each_open_port_of_a_range_is_found', async (t) => {
  // Above the ports that the kernel gives. Another test may listen there on all addresses.
  const first = 61_000 + Math.floor(Math.random() * 3000)
  const [last, ports] = [first + 1199, [first, first + 700, first + 1199]]
  const listeners = ports.map((port) => Listener.bind({ host: '127.0.0.8', port }))
  t.teardown(() => listeners.forEach((each) => each.close()))
  const scanner = startProgram(t, 'recipes/port-scanner', ['127.0.0.8', String(first), String(last)])
  const [total, ...open] = (await scanner.rest()).toReversed()
  for (const port of ports) t.true(open.includes(`${port} open`), total)
  const pattern = /^127\.0\.0\.8: (\d+) open, (\d+) closed, 0 filtered in [\d.]+ s$/
  const [, opened, closed] = pattern.exec(total!)!
  t.deepEqual([Number(opened), Number(closed)], [open.length, 1200 - open.length])
  const shown = shownOutput('docs/recipes/port-scanner.md', 'port-scanner.ts').split('\n')
  t.regex(shown.pop()!.replace('…', '1.0'), /^127\.0\.0\.1: \d+ open, \d+ closed, 0 filtered in [\d.]+ s$/)
  for (const each of shown) t.regex(each, /^\d+ open$/)
})

async function webServer(t: ExecutionContext): Promise<{ port: number }> {
  const server = http.createServer((_, response) => response.end(HELLO)).listen(0, '::')
  t.teardown(() => server.close().closeAllConnections())
  await once(server, 'listening')
  return server.address() as AddressInfo
}

function curl(t: ExecutionContext, ...args: string[]): Promise<Outcome> {
  return run(t, 'curl', ['--silent', '--show-error', '--noproxy', '', '--max-time', '60', ...args])
}

/** Sends hexadecimal pieces, each after some answer to the one before; what came back until the end. */
async function answerTo(port: number, ...pieces: string[]): Promise<string> {
  const client = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  client.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const piece of pieces) {
    client.write(Buffer.from(piece.replaceAll(' ', ''), 'hex'))
    if (piece !== pieces.at(-1)) await once(client, 'data')
  }
  await once(client, 'close')
  return Buffer.concat(chunks).toString('hex')
}

function hexName(name: string): string {
  return Buffer.from([name.length, ...Buffer.from(name)]).toString('hex')
}
