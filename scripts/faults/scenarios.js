// What the program under test does, at each level of the library.

import { HANDLERS } from './scenarios/handlers.js'
import { MODEL } from './scenarios/model.js'
import { NET } from './scenarios/net.js'
import { STREAMS } from './scenarios/streams.js'

/**
 * By name. `level` is the column of the page; `transports` are those that matter; `inherits` says which descriptor of
 * the peer's is descriptor 3.
 */
export const SCENARIOS = { ...MODEL, ...HANDLERS, ...STREAMS, ...NET }
