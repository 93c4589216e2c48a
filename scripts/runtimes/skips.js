// What cannot run on Bun and Deno, each with its reason.

const BOTH = ['bun', 'deno']

/** Whole files, by what their paths end in. */
const FILES = [
  { on: BOTH, spec: /(architecture|kernel\/coverage)\.spec/, reason: 'is about the sources, whatever runs them' },
]

const TESTS = [
  {
    on: BOTH,
    spec: /docs/,
    title: /Duplex\.md 3$/,
    reason: 'the page shows TLS with a pre-shared key, for which neither Bun nor Deno has a cipher',
  },
  {
    on: ['bun'],
    spec: /errors/,
    title: /nonexistent/,
    reason: "node:net's error of Bun has a property `port`, undefined, also for a path",
  },
  {
    on: ['bun'],
    spec: /draining/,
    title: /connection_flood.*handlers/,
    reason: "Bun's loop lets a thread call several times before it runs what setImmediate() was given",
  },
  { on: ['bun'], spec: /original/, title: /^errors: /, reason: "node:dns's error of Bun does not name the host" },
  {
    on: ['bun'],
    spec: /original/,
    title: /^finalizers/,
    reason: "JavaScriptCore's collector looks at the stack and spares what it may see there",
  },
  {
    on: ['bun'],
    spec: /options/,
    title: /^originalDestination_is_read/,
    reason: "node:net's SocketAddress of Bun does not shorten IPv6 addresses",
  },
  { on: ['bun'], spec: /programs/, title: /over_node_https/, reason: "Bun's TLS server does not take a Duplex" },
  {
    on: ['deno'],
    spec: /programs/,
    title: /over_node_https?_/,
    reason: "Deno's node:http destroys a Duplex after one answer, whatever the headers say",
  },
  {
    on: ['deno'],
    spec: /adopt/,
    title: /^descriptors_handed/,
    reason: "Deno's spawn() makes a descriptor that a child inherits blocking, for both",
  },
  {
    on: ['deno'],
    spec: /readiness/,
    title: /another_process_accepts/,
    reason: "Deno's spawn() makes a listener that a child inherits blocking, and so accept(2) would wait",
  },
  {
    on: ['deno'],
    spec: /errors/,
    title: /type symbol/,
    reason: "Deno's util.inspect shows a description of a symbol quoted",
  },
  {
    on: ['deno'],
    spec: /examples/,
    title: /^reconnect: (a_server_that_is_killed|interrupted)/,
    reason: 'Deno goes on reading a standard input that has been destroyed',
  },
  {
    on: ['deno'],
    spec: /leaks/,
    title: /what_is_forgotten/,
    reason: 'counts descriptors: Deno opens a pair of Unix sockets for itself meanwhile',
  },
  {
    on: ['deno'],
    spec: /(workers|lifetime)/,
    title: /^(a_worker_leaves|200_workers|truth 37: workers)/,
    reason:
      'counts descriptors: Deno leaves an epoll and an eventfd for each ended worker that has loaded any addon, and does not end one that never rests',
  },
  {
    on: ['deno'],
    spec: /(listening|server)/,
    title: /^truth 15: out_of_descriptors_.*(iteration|wait\)|a_server)/,
    reason: 'Deno itself panics when the process is out of descriptors',
  },
]

/** Why the test, or its whole file when no title is given, cannot run; undefined when it can. */
export function reasonToSkip(runtime, spec, title) {
  const isHere = (entry) => entry.on.includes(runtime) && entry.spec.test(spec)
  return [...FILES, ...TESTS].find((entry) => isHere(entry) && (entry.title === undefined || entry.title.test(title)))
    ?.reason
}
