// As much of ava as the specs use, for runtimes on which ava itself does not run. Tests of a file: serial ones first, one by
// one, then the others, some at once.

import assert from 'node:assert'
import process from 'node:process'
import { inspect, isDeepStrictEqual } from 'node:util'

/** More of them in one thread only wait for each other, and some count on being called in time. */
const AT_ONCE = 4

/** After so long a test counts as one that hangs. */
const PATIENCE = 60_000

const tests = []
const before = []
const after = []

export default function test(title, implementation, ...rest) {
  declare({ title, implementation, rest, serial: false })
}
test.serial = (title, implementation, ...rest) => declare({ title, implementation, rest, serial: true })
test.skip = (title) => declare({ title, skip: '' })
test.serial.skip = test.skip
test.macro = (macro) => macro
test.before = (...rest) => void before.push(rest.at(-1))
test.after = (...rest) => void after.push(rest.at(-1))
test.after.always = test.after

function declare(declared) {
  const { title, implementation, rest } = declared
  if (typeof title === 'string') return void tests.push(declared)
  // A macro without a title of the test's own.
  const [macro, args] = [title, [implementation, ...rest]]
  tests.push({ ...declared, title: macro.title(undefined, ...args), implementation: macro, rest: args })
}

/** Runs what has been declared and prints TAP; `reasonToSkip` may say of a title why it cannot run here. */
export async function run(reasonToSkip) {
  let number = 0
  const context = {}
  for (const hook of before) await hook(new Execution('before', context))
  for (const one of tests.filter(({ serial }) => serial)) await runOne(one)
  const others = tests.filter(({ serial }) => !serial)
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let one; (one = others.shift());) await runOne(one)
    }),
  )
  for (const hook of after) await hook(new Execution('after', context))

  async function runOne({ title, implementation, rest, skip = reasonToSkip(title) }) {
    if (skip !== undefined) return console.log(`ok ${++number} - ${title} # SKIP ${skip}`)
    const t = new Execution(title, { ...context })
    const failures = await t.run(typeof implementation === 'function' ? implementation : implementation.exec, rest)
    console.log(`${failures.length > 0 ? 'not ' : ''}ok ${++number} - ${title}`)
    for (const failure of failures) console.log(`  # ${inspect(failure).replaceAll('\n', '\n  # ')}`)
  }
}

/** `t`. An assertion that fails does not end the test; it counts. */
class Execution {
  #failures = []
  #teardowns = []
  #count = 0
  #planned

  constructor(title, context) {
    this.title = title
    this.context = context
    for (const name of Object.getOwnPropertyNames(Execution.prototype)) {
      if (name !== 'constructor') this[name] = this[name].bind(this)
    }
  }

  async run(implementation, rest) {
    let timer
    const patience = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`hangs for ${PATIENCE} ms`)), PATIENCE)
    })
    try {
      await Promise.race([(async () => implementation(this, ...rest))(), patience])
      if (this.#planned !== undefined && this.#planned !== this.#count)
        this.#fail(`${this.#count} assertions instead of ${this.#planned}`)
      if (this.#count === 0) this.#fail('no assertion')
    } catch (error) {
      this.#failures.push(error)
    }
    clearTimeout(timer)
    for (const teardown of this.#teardowns.reverse()) {
      try {
        await teardown()
      } catch (error) {
        this.#failures.push(error)
      }
    }
    return this.#failures
  }

  #fail(what) {
    this.#failures.push(new assert.AssertionError({ message: String(what), stackStartFn: this.#fail }))
    return false
  }

  #check(holds, what) {
    this.#count++
    return holds || this.#fail(typeof what === 'function' ? what() : what)
  }

  plan(count) {
    this.#planned = count
  }
  /** Each test has the same patience here. */
  timeout() {}
  log(...values) {
    for (const line of values.join(' ').split('\n')) console.log(`  # ${line}`)
  }
  teardown(undo) {
    this.#teardowns.push(undo)
  }
  pass() {
    return this.#check(true)
  }
  fail(message = 'fail') {
    return this.#check(false, message)
  }
  is(actual, expected, message = '') {
    return this.#check(Object.is(actual, expected), () => `${message} ${inspect(actual)} is not ${inspect(expected)}`)
  }
  not(actual, expected, message = '') {
    return this.#check(!Object.is(actual, expected), () => `${message} is ${inspect(actual)}`)
  }
  true(actual, message = '') {
    return this.is(actual, true, message)
  }
  false(actual, message = '') {
    return this.is(actual, false, message)
  }
  truthy(actual, message = '') {
    return this.#check(Boolean(actual), () => `${message} ${inspect(actual)} is falsy`)
  }
  deepEqual(actual, expected, message = '') {
    return this.#check(
      isDeepStrictEqual(actual, expected),
      () => `${message} ${inspect(actual)} does not equal ${inspect(expected)}`,
    )
  }
  notDeepEqual(actual, expected, message = '') {
    return this.#check(!isDeepStrictEqual(actual, expected), () => `${message} equals ${inspect(actual)}`)
  }
  like(actual, selector, message = '') {
    return this.#check(isLike(actual, selector), () => `${message} ${inspect(actual)} is not like ${inspect(selector)}`)
  }
  regex(actual, pattern, message = '') {
    return this.#check(pattern.test(actual), () => `${message} ${inspect(actual)} does not match ${pattern}`)
  }
  notRegex(actual, pattern, message = '') {
    return this.#check(!pattern.test(actual), () => `${message} ${inspect(actual)} matches ${pattern}`)
  }
  throws(act, expectations, message = '') {
    try {
      act()
    } catch (error) {
      return this.#expect(error, expectations, message)
    }
    return void this.#check(false, `${message} did not throw`)
  }
  async throwsAsync(act, expectations, message = '') {
    try {
      await (typeof act === 'function' ? act() : act)
    } catch (error) {
      return this.#expect(error, expectations, message)
    }
    return void this.#check(false, `${message} did not reject`)
  }
  notThrows(act, message = '') {
    try {
      act()
      return this.#check(true)
    } catch (error) {
      return this.#check(false, `${message} threw ${inspect(error)}`)
    }
  }
  async notThrowsAsync(act, message = '') {
    try {
      await (typeof act === 'function' ? act() : act)
      return this.#check(true)
    } catch (error) {
      return this.#check(false, `${message} rejected with ${inspect(error)}`)
    }
  }

  #expect(error, { any, code, instanceOf, is, message, name } = {}, what) {
    const holds =
      (any || error instanceof Error) &&
      (code === undefined || error.code === code) &&
      (instanceOf === undefined || error instanceof instanceOf) &&
      (is === undefined || error === is) &&
      (name === undefined || error.name === name) &&
      (message === undefined || matches(error.message, message))
    this.#check(
      holds,
      () => `${what} threw ${inspect(error)} instead of ${inspect({ any, code, instanceOf, is, message, name })}`,
    )
    return error
  }
}

function matches(actual, expected) {
  if (typeof expected === 'string') return actual === expected
  return typeof expected === 'function' ? expected(actual) : expected.test(actual)
}

function isLike(actual, selector) {
  if (typeof selector !== 'object' || selector === null) return Object.is(actual, selector)
  return (
    typeof actual === 'object' &&
    actual !== null &&
    Reflect.ownKeys(selector).every((key) => isLike(actual[key], selector[key]))
  )
}

/** What ava reports too: an error that no test has caught. */
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    console.log(`not ok - ${event}: ${inspect(error).replaceAll('\n', '\n  # ')}`)
    process.exitCode = 1
  })
}
