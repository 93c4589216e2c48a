import nodeNet from 'node:net'

/** The module `m-socket/net` on Linux. */
export const net: typeof nodeNet = { ...nodeNet }
