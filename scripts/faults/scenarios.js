// What the program under test does, at each level of the library.

import { FILES } from './scenarios/files.js'
import { HANDLERS } from './scenarios/handlers.js'
import { MODEL } from './scenarios/model.js'
import { NET } from './scenarios/net.js'
import { RELAY } from './scenarios/relay.js'
import { STREAMS } from './scenarios/streams.js'

/**
 * By name. `level` is the column of the page; `transports` are those that matter; `inherits` says which descriptor of
 * the peer's is descriptor 3; `usesNode`, that Node takes over its sockets.
 */
export const SCENARIOS = { ...MODEL, ...HANDLERS, ...FILES, ...STREAMS, ...NET, ...RELAY }
