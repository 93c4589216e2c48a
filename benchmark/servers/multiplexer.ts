// The model with wait(), on the event loop of Node.

import { announce } from './support/control.js'
import { multiplexer, port, serve } from './support/model.js'

announce(port)

for await (const events of multiplexer) for (const event of events) serve(event)
