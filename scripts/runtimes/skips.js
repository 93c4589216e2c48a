// The tests that cannot run on Bun or Deno, each with the reason.

const BOTH = ['bun', 'deno']

/** Complete files, by a pattern of the path. */
const FILES = [
  {
    on: BOTH,
    spec: /(architecture|kernel\/coverage)\.spec/,
    reason: 'checks source files, which are the same on every runtime',
  },
  {
    on: BOTH,
    spec: /injected-failures/,
    reason: 'the peer of node:net makes the same system calls there, and would meet the failures',
  },
  { on: BOTH, spec: /lost-queue/, reason: 'the event loop of the runtime makes the same system calls' },
  { on: BOTH, spec: /permissions\.spec/, reason: 'is about options of Node' },
]

const TESTS = [
  {
    on: BOTH,
    spec: /docs/,
    title: /tls\.md 1$/,
    reason: 'the example uses TLS with a pre-shared key, for which Bun and Deno have no cipher',
  },
  {
    on: BOTH,
    spec: /loop-watch/,
    title: /^(a_multiplexer_that_the_loop_cannot_watch|the_epoll_descriptor_of_the_loop)/,
    reason: 'the epoll descriptor of the loop does not watch ours on Bun and Deno: a poll thread does',
  },
  {
    on: ['bun'],
    spec: /domain/,
    title: /^what_/,
    reason: 'node:domain in Bun has no process.domain: only what Domain.run() itself calls is in the domain',
  },
  {
    on: BOTH,
    spec: /domain/,
    title: /^a_domain_whose_run_a_handler_has_left/,
    reason: 'Domain.run() of Bun and Deno catches exceptions: nothing leaves it by one',
  },
  {
    on: ['bun'],
    spec: /errors/,
    title: /nonexistent/,
    reason: 'an error of node:net in Bun has the property `port` (undefined) even for a path',
  },
  {
    on: ['bun'],
    spec: /draining/,
    title: /connection_flood.*handlers/,
    reason: 'the event loop of Bun runs several calls of a thread-safe function before a setImmediate() callback',
  },
  {
    on: ['deno'],
    spec: /order/,
    title: /^without_an_error_handler_an_exception_is_uncaught: open/,
    reason: 'process.nextTick() of Deno calls back only after other callbacks of the event loop',
  },
  {
    on: ['deno'],
    spec: /closing-phase/,
    title: /^the_order_is_that_of_the_close_event/,
    reason: 'node:net in Deno emits "close" after all setImmediate() callbacks, and no addon can',
  },
  {
    on: ['deno'],
    spec: /background-flush/,
    title: /^out_of_descriptors_/,
    reason: 'Deno itself panics when it can open no descriptor',
  },
  { on: ['bun'], spec: /original/, title: /^errors: /, reason: 'an error of node:dns in Bun does not name the host' },
  {
    on: ['bun'],
    spec: /original/,
    title: /^finalizers/,
    reason: 'the garbage collector of JavaScriptCore scans the stack conservatively and keeps what it may find there',
  },
  {
    on: ['bun'],
    spec: /options/,
    title: /^originalDestination_is_decoded/,
    reason: 'net.SocketAddress in Bun does not shorten IPv6 addresses',
  },
  { on: ['bun'], spec: /programs/, title: /over_node_https/, reason: 'the TLS server of Bun does not accept a Duplex' },
  {
    on: ['deno'],
    spec: /programs/,
    title: /over_node_https?_/,
    reason: 'node:http in Deno destroys a Duplex after one response, whatever the headers are',
  },
  {
    on: ['deno'],
    spec: /adopt/,
    title: /^descriptors_handed/,
    reason: 'spawn() in Deno makes a descriptor that a child inherits blocking, for parent and child',
  },
  {
    on: ['deno'],
    spec: /readiness/,
    title: /another_process_accepts/,
    reason: 'spawn() in Deno makes a listener that a child inherits blocking, so that accept(2) would block',
  },
  {
    on: ['deno'],
    spec: /errors/,
    title: /type symbol/,
    reason: 'util.inspect in Deno quotes the description of a symbol',
  },
  {
    on: ['deno'],
    spec: /examples/,
    title: /^reconnect: (the_client_connects_again|SIGINT_ends)/,
    reason: 'Deno continues to read a stdin that has been destroyed',
  },
  {
    on: ['deno'],
    spec: /leaks/,
    title: /^collected_objects/,
    reason: 'counts descriptors: Deno opens a pair of Unix sockets of its own in the meantime',
  },
  {
    on: ['deno'],
    spec: /(workers|lifetime)/,
    title: /^(a_worker_leaves|200_workers|truth 37: workers)/,
    reason:
      'counts descriptors: Deno leaves an epoll descriptor and an eventfd for each ended worker that has loaded an addon, and cannot terminate a worker whose event loop never blocks',
  },
  {
    on: ['deno'],
    spec: /(listening|server)/,
    title: /^truth 15: out_of_descriptors_.*(iteration|wait\)|a_server)/,
    reason: 'Deno itself panics when the process is out of descriptors',
  },
]

/** Why the test cannot run, or its complete file when no title is given; undefined when it can. */
export function reasonToSkip(runtime, spec, title) {
  const applies = (entry) => entry.on.includes(runtime) && entry.spec.test(spec)
  return [...FILES, ...TESTS].find((entry) => applies(entry) && (entry.title === undefined || entry.title.test(title)))
    ?.reason
}
