// What cannot run on Bun and Deno, each with its reason.

const BOTH = ['bun', 'deno']

/** Whole files, by what their paths end in. */
const FILES = [
  { on: BOTH, spec: /(architecture|benchmark|readme|kernel\/coverage)\.spec/, reason: 'is about the sources, whatever runs them' },
]

const TESTS = [
  { on: ['bun'], spec: /docs/, title: /(options|Listener)\.md 1$/, reason: "Bun's console.log breaks the objects that are shown into lines" },
  { on: ['bun'], spec: /docs/, title: /Duplex\.md 3$/, reason: 'the example agrees on a key beforehand, and BoringSSL has no such ciphers' },
  { on: ['bun'], spec: /adopt/, title: /^a_wrong_option/, reason: 'on Bun the flags of an inherited descriptor change in the meantime' },
  { on: ['bun'], spec: /errors/, title: /nonexistent/, reason: "node:net's error of Bun has no property `port` on a path" },
  { on: ['bun'], spec: /draining/, title: /in_a_flood.*handlers/, reason: "Bun's loop answers a thread several times a turn" },
  { on: ['bun'], spec: /lifetime/, title: /asked_for_the_warning/, reason: "Bun's util.debuglog() does not say whether it is `enabled`" },
  { on: ['bun'], spec: /(listener|original)/, title: /bind_host_says|^errors: /, reason: "node:dns's error of Bun does not name the host" },
  { on: BOTH, spec: /leaks/, title: /what_is_forgotten/, reason: 'counts descriptors: with a thread a multiplexer has two' },
  { on: ['bun'], spec: /original/, title: /^finalizers/, reason: "JavaScriptCore's collector looks at the stack and spares what it may see there" },
  { on: ['bun'], spec: /options/, title: /^originalDestination/, reason: "node:net's SocketAddress of Bun does not shorten IPv6 addresses" },
  { on: BOTH, spec: /listener/, title: /^a_pending_iteration_holds/, reason: 'expects exit code 13 for a top-level await that nothing holds: Bun waits for ever, Deno gives 1' },
  { on: ['bun'], spec: /programs/, title: /over_node_https/, reason: "Bun's TLS server does not take a Duplex" },
  { on: ['bun'], spec: /workers/, title: /by end/, reason: 'counts descriptors: one more is open after the first such worker, and none after the next ones' },
  { on: ['deno'], spec: /adopt/, title: /^(a_listening_socket_is_no|a_connection_is_no|a_descriptor_that_a_multiplexer)/, reason: "Deno's node:net does not tell a descriptor" },
  { on: ['deno'], spec: /adopt/, title: /^(descriptors_handed|a_wrong_option|closing_what)/, reason: 'Deno makes a descriptor that a child inherits blocking, and has others than Node where a child looks' },
  { on: ['deno'], spec: /readiness/, title: /somebody_else/, reason: 'Deno makes a descriptor that a child inherits blocking' },
  { on: ['deno'], spec: /errors/, title: /type symbol/, reason: "Deno's util.inspect shows a description of a symbol quoted" },
  { on: ['deno'], spec: /(workers|lifetime)/, title: /(200_workers|^truth 37: workers)_terminated/, reason: 'Deno does not end a worker that never rests, whose descriptors stay' },
  { on: ['deno'], spec: /(listening|server)/, title: /^truth 15: out_of_descriptors_.*(iteration|wait\)|a_server)/, reason: 'Deno itself panics when the process is out of descriptors' },
]

/** Why the test, or its whole file when no title is given, cannot run; undefined when it can. */
export function reasonToSkip(runtime, spec, title) {
  const isHere = (entry) => entry.on.includes(runtime) && entry.spec.test(spec)
  return [...FILES, ...TESTS].find((entry) => isHere(entry) && (entry.title === undefined || entry.title.test(title)))?.reason
}
