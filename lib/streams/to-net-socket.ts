import { Socket as NodeSocket } from 'node:net'

export function toNetSocket(source: unknown): NodeSocket {
  return source as NodeSocket
}
