// The part of the API of ava that the specs use, for runtimes on which ava does not run. The serial tests of a file run
// first, one after another; then the others, a few at a time.

import assert from 'node:assert'
import process from 'node:process'
import { inspect, isDeepStrictEqual } from 'node:util'

/** More tests in one thread would delay each other, and some tests depend on timers. */
const CONCURRENCY = 4

/** The longest time for one test, in milliseconds. */
const TIMEOUT = 60_000

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
  // A macro, which makes the title from its arguments.
  const [macro, args] = [title, [implementation, ...rest]]
  tests.push({ ...declared, title: macro.title(undefined, ...args), implementation: macro, rest: args })
}

/**
 * Runs the declared tests and prints TAP. `reasonToSkip` returns why the test with a title cannot run here, or
 * undefined.
 */
export async function run(reasonToSkip) {
  let number = 0
  const context = {}
  for (const hook of before) await hook(new Execution('before', context))
  for (const one of tests.filter(({ serial }) => serial)) await runOne(one)
  const others = tests.filter(({ serial }) => !serial)
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
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

/** The `t` of a test. A failed assertion is recorded and does not end the test. */
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
    const timeout = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`the test did not end within ${TIMEOUT} ms`)), TIMEOUT)
    })
    try {
      await Promise.race([(async () => implementation(this, ...rest))(), timeout])
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

  #check(passed, what) {
    this.#count++
    return passed || this.#fail(typeof what === 'function' ? what() : what)
  }

  plan(count) {
    this.#planned = count
  }
  /** Ignored: every test has the same time limit here. */
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
    const passed =
      (any || error instanceof Error) &&
      (code === undefined || error.code === code) &&
      (instanceOf === undefined || error instanceof instanceOf) &&
      (is === undefined || error === is) &&
      (name === undefined || error.name === name) &&
      (message === undefined || matches(error.message, message))
    this.#check(
      passed,
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

/** As in ava, an error that no test catches is a failure. */
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    console.log(`not ok - ${event}: ${inspect(error).replaceAll('\n', '\n  # ')}`)
    process.exitCode = 1
  })
}
