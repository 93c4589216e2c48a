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
  { on: BOTH, spec: /register\.spec/, reason: 'Bun and Deno have no such hooks: m-socket/register does nothing there' },
  { on: ['deno'], spec: /server-cluster/, reason: 'the workers of node:cluster in Deno do not begin to listen' },
  { on: BOTH, spec: /permissions\.spec/, reason: 'is about options of Node' },
]

const TESTS = [
  {
    on: BOTH,
    spec: /server-handles/,
    title:
      /^(a_server_listens_with_the_handle_of|a_server_can_be_sent_to|descriptors_are_closed_with|a_handle_of_node_is)/,
    reason: 'sockets of Bun and Deno have no handle of libuv that could be passed on',
  },
  {
    on: ['bun'],
    spec: /server-cluster/,
    title: /SCHED_NONE$/,
    reason: 'in a worker of Bun a server of m-socket/net has the shared socket by SCHED_RR only',
  },
  {
    on: BOTH,
    spec: /net\/(both|writing)\.spec/,
    title: /^(connect_data_and_end_can_be_awaited|bytesWritten_counts_what_waits_for_the_connection)/,
    reason: 'several events come in one callback of the event loop there, and no promise settles in between',
  },
  {
    on: BOTH,
    spec: /contract/,
    title: /^properties_of_Server/,
    reason: 'the Server of Bun and of Deno has methods where that of Node has properties',
  },
  {
    on: BOTH,
    spec: /contract/,
    title: /^sockets_and_servers_are_instances/,
    reason: 'node:tls would take such a stream for one of theirs: a Socket is an instance of our class alone',
  },
  {
    on: BOTH,
    spec: /http\/(agents|secure|undici|serve)\.spec/,
    title:
      /^(TLS_has_its_name|a_session_is_resumed|a_handshake_that_takes_too_long|https_is_TLS_over|TLS_runs_over|more_connections_than_maxConnections|garbage_in_place_of_TLS)/,
    reason: 'TLS of Bun and Deno resumes no session and limits no handshake, and their servers drop no connection',
  },
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
    on: ['bun'],
    spec: /guide/,
    title: /^secure and secure-client/,
    reason: 'a TLS client of Bun does not begin its handshake over a stream that is connected already',
  },
  {
    on: ['deno'],
    spec: /programs/,
    title: /over_node_https?_/,
    reason: 'node:http in Deno destroys a Duplex after one response, whatever the headers are',
  },
  {
    on: BOTH,
    spec: /recipes\/production/,
    title: /^http-behind-haproxy/,
    reason: 'servers of node:http listen by themselves there, and read no header of the PROXY protocol',
  },
  {
    on: ['bun'],
    spec: /recipes\/production/,
    title: /^tls: server_and_client/,
    reason: 'the handshake of a client of node:tls over a socket that it is given does not end in Bun',
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
