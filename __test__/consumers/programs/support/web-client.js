// Requests of node:http whose connections are those of `net`.

import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'

import { host } from './local.js'

/** An agent whose connections are those of `net`. */
export function agentOf(options) {
  const agent = new http.Agent({ keepAlive: true, ...options })
  agent.createConnection = net.connect
  return agent
}

/** Asks; without an agent over a connection of its own. */
export async function ask(port, options, sent) {
  const connection = options.agent ? {} : { agent: false, createConnection: net.connect }
  const request = http.request({ host, port, ...connection, ...options })
  request.end(sent)
  const [response] = await once(request, 'response')
  const chunks = await response.toArray()
  return { status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString() }
}
