import nodeNet from 'node:net'

import test from 'ava'
import { Socket as ModelSocket } from 'm-socket'
import ourNet, * as named from 'm-socket/net'

import { ON_NODE } from '../support/runtime.js'

/** The own properties of a prototype that programs can name. */
function propertiesOf(prototype: object): string[] {
  return Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
}

/** Whether something in front of `end` in the chain of prototypes defines it. */
function isDefinedBefore(end: object, start: object, name: string): boolean {
  for (let at: object | null = start; at && at !== end; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, name)) return true
  }
  return false
}

for (const name of ['Socket', 'Server'] as const) {
  test(`all_that_the_prototype_of_node_net_${name}_has_is_defined_by_ours_first`, (t) => {
    const [ours, nodes] = [ourNet[name].prototype, nodeNet[name].prototype] as [object, object]
    t.not(ours, nodes)
    const missing = propertiesOf(nodes).filter((property) => !isDefinedBefore(nodes, ours, property))
    t.deepEqual(missing, [])
    t.true(propertiesOf(nodes).length >= 8)
  })

  test(`properties_of_${name}_are_of_the_kind_that_they_are_in_node_net`, (t) => {
    const [ours, nodes] = [ourNet[name].prototype, nodeNet[name].prototype] as [object, object]
    for (const property of propertiesOf(nodes)) {
      const expected = kindOf(nodes, property)
      t.is(kindOf(ours, property), expected, property)
    }
  })
}

/** What programs see of a property: a method, or something that is read. */
function kindOf(prototype: object, name: string): string {
  for (let at: object | null = prototype; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name)
    if (found) return typeof found.value === 'function' ? 'method' : 'value'
  }
  return 'nothing'
}

test('all_that_node_net_exports_is_exported_by_name_and_in_the_default_export', (t) => {
  for (const [name, value] of Object.entries(nodeNet)) {
    t.is(typeof (ourNet as unknown as Record<string, unknown>)[name], typeof value, name)
  }
  // What the oldest Node has: a name that is not there cannot be exported by a module.
  for (const name of Object.keys(named)) {
    if (name === 'default' || name === 'module.exports') continue
    t.is((named as Record<string, unknown>)[name], (ourNet as unknown as Record<string, unknown>)[name], name)
    t.true(name in nodeNet, name)
  }
})

test('what_is_replaced_is_ours_and_the_rest_is_nodes', (t) => {
  const replaced = Object.entries(nodeNet)
    .filter(([name, value]) => (ourNet as unknown as Record<string, unknown>)[name] !== value)
    .map(([name]) => name)
  t.deepEqual(replaced.toSorted(), ['Server', 'Socket', 'Stream', 'connect', 'createConnection', 'createServer'])
})

test('sockets_and_servers_are_instances_of_the_classes_of_both_modules', (t) => {
  const [socket, server] = [new ourNet.Socket(), ourNet.createServer()]
  t.true(socket instanceof ourNet.Socket && socket instanceof nodeNet.Socket && socket instanceof ourNet.Stream)
  t.true(server instanceof ourNet.Server && server instanceof nodeNet.Server)
  t.false((socket as unknown) instanceof ModelSocket)
  t.false((server as unknown) instanceof ourNet.Socket)
  t.true(new nodeNet.Socket() instanceof ourNet.Socket)
})

test('functions_have_the_names_and_the_lengths_that_programs_may_look_at', (t) => {
  for (const name of ['Socket', 'Server'] as const) t.is(ourNet[name].name, nodeNet[name].name)
  if (ON_NODE) t.is(ourNet.connect, ourNet.createConnection)
})
