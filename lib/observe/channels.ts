import { channel } from 'node:diagnostics_channel'

// Kept here, since node:diagnostics_channel itself refers to a channel weakly.

export const SERVER_LISTEN = channel('m-socket.server.listen')
export const CONNECTION_OPEN = channel('m-socket.connection.open')
export const CONNECTION_CLOSE = channel('m-socket.connection.close')
export const CONNECT_START = channel('m-socket.connect.start')
export const CONNECT_END = channel('m-socket.connect.end')
export const CONNECT_ERROR = channel('m-socket.connect.error')
