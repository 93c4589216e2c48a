// Counts the results in the TAP output of a test run.

const LINE = /^(not )?ok(?: \d+)? - (.*?)(?: # (SKIP|TODO) ?(.*))?$/i
/** The reason at the end of a title: `(emulated: TCP_INFO)` or `(needs nc)`. */
const REASON = / \(((?:emulated: |needs )[^()]*)\)$/

/** The results of a test run. */
export class Tally {
  passed = 0
  /** Each with the indented lines that follow it. */
  failed = []
  skipped = []
  #last

  /** The number of tests: passed, failed and skipped. */
  get count() {
    return this.passed + this.failed.length + this.skipped.length
  }

  /** Reads one line of TAP; `prefix` is put before the name of the test. */
  read(line, prefix = '') {
    const [, not, title, skip, reason] = LINE.exec(line) ?? []
    if (title === undefined) {
      if (/^\s/.test(line)) this.#last?.details.push(line)
      return
    }
    this.#last = undefined
    if (skip) this.#skip(prefix + title, reason)
    else if (not) this.fail(prefix + title)
    else this.passed++
  }

  /** Adds the results of another tally. */
  add({ passed, failed, skipped }) {
    this.passed += passed
    this.failed.push(...failed)
    this.skipped.push(...skipped)
  }

  fail(name, details = []) {
    this.#last = { name, details }
    this.failed.push(this.#last)
  }

  #skip(name, given) {
    const reason = given || REASON.exec(name)?.[1] || 'no reason given'
    this.skipped.push({ name: name.replace(REASON, ''), reason })
  }

  /** Prints the failed tests, and the skipped ones by reason. */
  report(title) {
    for (const { name, details } of this.failed)
      console.log(`${title} failed: ${name}\n${details.slice(0, 30).join('\n')}`)
    for (const [reason, names] of byReason(this.skipped)) {
      console.log(`${title} skipped ${names.length}: ${reason}`)
      for (const name of names) console.log(`  ${name}`)
    }
  }
}

/** The names of the skipped tests, by reason. */
export function byReason(skipped) {
  const groups = new Map()
  for (const { name, reason } of skipped) groups.set(reason, [...(groups.get(reason) ?? []), name])
  return groups
}
