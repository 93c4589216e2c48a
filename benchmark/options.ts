import process from 'node:process'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'

import type { Contender } from './contenders.js'
import { BOTH_NETS, COUNTED, type Counted, NET, WORKLOADS } from './workloads.js'

const HELP = `npm run bench -- [net] [options]

  net             m-socket/net and serve() against node:net and listen(), 15 rounds, into benchmark/results/net.json

  --full          all workloads and contenders, and the charts of docs/charts; installs Bun and Deno into
                  .cache when they are missing
  --only NAMES    only these workloads, counted figures and contenders, for example echo-64x50,memory,handlers,net;
                  the bare loop always takes part
  --rounds N      samples of each workload and contender (default: 5; of net: 15)
  --out FILE      the JSON file (default: benchmark/results/short.json, full.json, or partial.json with --only)
  --list          prints the names`

export interface Options {
  readonly full: boolean
  readonly rounds: number
  readonly out: string
  readonly only: readonly string[]
  readonly list: boolean
  /** Neither --full nor --only: under 3 minutes. */
  readonly quick: boolean
  /** Without the bare loop. */
  readonly isNet?: boolean
}

export function options(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      full: { type: 'boolean', default: false },
      only: { type: 'string' },
      rounds: { type: 'string' },
      out: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(HELP)
    process.exit()
  }
  const { full } = values
  const isNet = positionals[0] === 'net'
  if (positionals.length > (isNet ? 1 : 0)) throw new RangeError(`there is no ${positionals.at(-1)}, only net`)
  const rounds = Number(values.rounds ?? (isNet ? 15 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds must be an integer of at least 1, not ${values.rounds}`)
  const named = values.only?.split(',').filter(Boolean)
  const only = isNet ? [...(named ?? NET), ...BOTH_NETS] : (named ?? [])
  const file = named ? 'partial' : isNet ? 'net' : full ? 'full' : 'short'
  return {
    full,
    quick: !full && only.length === 0,
    isNet,
    rounds,
    only,
    list: values.list,
    out: values.out ?? fileURLToPath(new URL(`results/${file}.json`, import.meta.url)),
  }
}

/** The selected contenders, workloads and counted figures. */
export interface Plan {
  readonly contenders: readonly Contender[]
  readonly workloads: typeof WORKLOADS
  readonly counted: Counted[]
}

export function plan({ full, only, isNet }: Options, present: readonly Contender[]): Plan {
  const known = [...present, ...WORKLOADS].map(({ name }) => name)
  for (const name of only) {
    if (!known.includes(name) && !COUNTED.some((counted) => counted === name))
      throw new RangeError(`--only: there is no ${name}; --list prints the names`)
  }
  const chosen = <T>(
    all: readonly T[],
    nameOf: (item: T) => string,
    usual: (item: T) => boolean,
    named: boolean,
  ): T[] => {
    const picked = all.filter((item) => only.includes(nameOf(item)))
    return picked.length > 0 || named ? picked : all.filter(usual)
  }
  const named = [...WORKLOADS.map(({ name }) => name), ...COUNTED].some((name) => only.includes(name))
  const contenders = chosen(
    present,
    ({ name }) => name,
    ({ short }) => full || short,
    false,
  )
  return {
    contenders: present.filter((contender) => (contender.name === 'bare' && !isNet) || contenders.includes(contender)),
    workloads: chosen(
      WORKLOADS,
      ({ name }) => name,
      ({ short }) => full || short,
      named,
    ),
    counted: chosen(
      COUNTED,
      (name) => name,
      (name) => name !== 'calls' || full,
      named,
    ),
  }
}
