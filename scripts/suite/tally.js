// What a run of the suite says of its tests.

const LINE = /^(not )?ok(?: \d+)? - (.*?)(?: # (SKIP|TODO) ?(.*))?$/i
/** `(emulated: TCP_INFO)` or `(needs nc)`, at a title's end. */
const REASON = / \(((?:emulated: |needs )[^()]*)\)$/

/** Counts the lines of TAP. */
export class Tally {
  passed = 0
  /** Each with what was said of it below. */
  failed = []
  skipped = []
  #last

  /** How many tests have been told of. */
  get heard() {
    return this.passed + this.failed.length + this.skipped.length
  }

  /** Takes in one line; `prefix` goes before the names of tests. */
  hear(line, prefix = '') {
    const [, not, title, skip, told] = LINE.exec(line) ?? []
    if (title === undefined) {
      if (/^\s/.test(line)) this.#last?.details.push(line)
      return
    }
    this.#last = undefined
    if (skip) this.#skip(prefix + title, told)
    else if (not) this.fail(prefix + title)
    else this.passed++
  }

  /** Takes in what another has counted. */
  add({ passed, failed, skipped }) {
    this.passed += passed
    this.failed.push(...failed)
    this.skipped.push(...skipped)
  }

  fail(name, details = []) {
    this.#last = { name, details }
    this.failed.push(this.#last)
  }

  #skip(name, told) {
    const reason = told || REASON.exec(name)?.[1] || 'skipped by itself'
    this.skipped.push({ name: name.replace(REASON, ''), reason })
  }

  /** What has failed, and what was skipped and why. */
  report(title) {
    for (const { name, details } of this.failed)
      console.log(`${title} failed: ${name}\n${details.slice(0, 30).join('\n')}`)
    for (const [reason, names] of byReason(this.skipped)) {
      console.log(`${title} skipped ${names.length}: ${reason}`)
      for (const name of names) console.log(`  ${name}`)
    }
  }
}

/** The names of what was skipped, by reason. */
export function byReason(skipped) {
  const groups = new Map()
  for (const { name, reason } of skipped) groups.set(reason, [...(groups.get(reason) ?? []), name])
  return groups
}
