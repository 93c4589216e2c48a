// The results of a run of the proxies, and the figures that are made of them.

import type { Syscalls } from './counted.js'
import type { PairMemory } from './relay-counted.js'
import { RELAY_LOADS, type RelayLoad } from './relay-loads.js'
import { median } from './statistics.js'

export interface RelaySample {
  /** Microseconds of CPU per round trip or MiB. */
  readonly cpu: number
  /** Microseconds. */
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
}

export interface RelayResults {
  readonly date: string
  readonly machine: Readonly<Record<string, string | number | boolean>>
  readonly proxies: Readonly<Record<string, string>>
  readonly skipped: readonly string[]
  readonly failures: string[]
  /** By load and proxy; without those of which a round failed. */
  readonly samples: Record<string, Record<string, RelaySample[]>>
  readonly memory: Record<string, PairMemory>
  readonly calls: Record<string, Record<string, Syscalls>>
}

/** How deep the records lie in the parts that have many, of which each gets a line. */
export const RELAY_DEPTHS: Record<string, number> = { proxies: 1, failures: 1, samples: 2, memory: 1, calls: 2 }

export interface Quartiles {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** The figure of a sample that a load shows. */
export function figureOf({ isLatency, scale }: RelayLoad, { cpu, p99 }: RelaySample): number {
  return isLatency ? p99 : cpu * scale
}

export function quartilesOf(values: readonly number[]): Quartiles {
  const sorted = [...values].sort((one, other) => one - other)
  const half = (sorted.length + 1) >> 1
  return {
    median: median(sorted),
    low: median(sorted.slice(0, half)),
    high: median(sorted.slice(sorted.length - half)),
  }
}

export function figuresOf(results: RelayResults, load: RelayLoad, proxy: string): Quartiles | undefined {
  const samples = results.samples[load.name]?.[proxy]
  return samples && quartilesOf(samples.map((sample) => figureOf(load, sample)))
}

/** The quartiles of the ratios of samples of the same round. */
export function ratioOf(results: RelayResults, load: RelayLoad, proxy: string, to: string): Quartiles | undefined {
  const [own, others] = [proxy, to].map((name) => results.samples[load.name]?.[name])
  if (!own || !others) return undefined
  return quartilesOf(own.map((sample, round) => figureOf(load, sample) / figureOf(load, others[round]!)))
}

/** The mode of HAProxy whose median is less. */
export function betterHaproxy(results: RelayResults, load: RelayLoad): string {
  const value = (name: string): number => figuresOf(results, load, name)?.median ?? Infinity
  return value('haproxy-copy') < value('haproxy') ? 'haproxy-copy' : 'haproxy'
}

/** The loads that were measured. */
export function loadsOf({ samples }: RelayResults): RelayLoad[] {
  return RELAY_LOADS.filter(({ name }) => samples[name])
}
