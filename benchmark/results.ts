// The results of a run, as they are written to a JSON file.

import type { Memory, Syscalls } from './counted.js'
import type { Sample } from './measure.js'
import { type Spread, median, spreadOf, sum } from './statistics.js'

/** The contenders that the others are compared with, if they take part. */
export const REFERENCES = ['bare', 'net', 'bun'] as const
export type Reference = (typeof REFERENCES)[number]

/** How deep the records lie in the parts that have many. */
const DEPTHS: Record<string, number> = { contenders: 1, timed: 2, syscalls: 1, calls: 2, memory: 1 }

export interface Timed {
  /** Microseconds of server CPU per unit. */
  readonly cpu: Spread
  /**
   * Its parts, sampled by the timer tick of the kernel: exact to some hundredths of a microsecond in long runs only.
   */
  readonly user: number
  readonly system: number
  /** The spread of the ratios of each sample to the sample of the reference in the same round. */
  readonly ratio: Partial<Record<Reference, Spread>>
  /** The spread of the ratios to the control load. */
  readonly control?: Spread
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly loadCpu: number | undefined
  /** Microseconds of server CPU per unit, round by round. */
  readonly samples: readonly number[]
}

export interface Results {
  readonly date: string
  readonly machine: Readonly<Record<string, string | number | boolean>>
  readonly contenders: Readonly<Record<string, string>>
  readonly skipped: readonly string[]
  readonly failures: string[]
  readonly timed: Record<string, Record<string, Timed>>
  /** By contender and number of connections. */
  readonly syscalls: Record<string, Record<string, Syscalls>>
  /** By workload and contender. */
  readonly calls?: Record<string, Record<string, Syscalls>>
  readonly heap: Record<string, number>
  readonly memory: Record<string, Memory>
}

export function summary(samples: readonly Sample[], references: Partial<Record<Reference, readonly Sample[]>>): Timed {
  const cpu = spreadOf(samples.map((sample) => sample.cpu))
  const user = sum(samples.map(({ ticks }) => ticks.user))
  const share = user / (user + sum(samples.map(({ ticks }) => ticks.system)) || 1)
  const ratio: Timed['ratio'] = {}
  for (const name of REFERENCES) {
    const pairs = samples.flatMap((sample, round) => {
      const other = references[name]?.[round]
      return other ? [sample.cpu / other.cpu] : []
    })
    if (pairs.length > 0) ratio[name] = spreadOf(pairs)
  }
  return {
    cpu,
    user: cpu.median * share,
    system: cpu.median * (1 - share),
    ratio,
    ...(samples[0]!.control === undefined
      ? {}
      : { control: spreadOf(samples.map(({ cpu, control }) => cpu / control!)) }),
    perSecond: median(samples.map(({ perSecond }) => perSecond)),
    p50: median(samples.map(({ latency }) => latency.p50)),
    p99: median(samples.map(({ latency }) => latency.p99)),
    loadCpu: samples[0]!.loadCpu === undefined ? undefined : median(samples.map(({ loadCpu }) => loadCpu!)),
    samples: samples.map((sample) => sample.cpu),
  }
}

/** As JSON with one line for each record. */
export function serialized(results: object, depths = DEPTHS): string {
  const parts = Object.entries(results).map(([name, part]) => {
    return `  ${JSON.stringify(name)}: ${nested(part, depths[name] ?? 0, '  ')}`
  })
  return `{\n${parts.join(',\n')}\n}\n`
}

function nested(value: unknown, depth: number, indent: string): string {
  if (depth === 0 || Object.keys(value as object).length === 0) return JSON.stringify(value, rounded)
  const lines = Object.entries(value as object).map(
    ([key, each]) => `${indent}  ${JSON.stringify(key)}: ${nested(each, depth - 1, `${indent}  `)}`,
  )
  return `{\n${lines.join(',\n')}\n${indent}}`
}

/** More digits would be noise. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value
}
