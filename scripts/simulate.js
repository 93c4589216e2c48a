// Plays random programs against src/core over a kernel in memory, from fresh seeds, and prints the shrunk program of the
// first failure: docs/simulation.md. The arguments are those of the program `simulation`: `--seconds N`, `--seed N`,
// `--runs N`, `--survey`, `--program FILE`.

import { spawnSync } from 'node:child_process'
import process from 'node:process'

import { requireCargo } from './simulate/cargo.js'
import { ROOT } from './targets.js'

requireCargo()
const args = [
  'run',
  '--release',
  '--quiet',
  '--locked',
  '--manifest-path',
  `${ROOT}Cargo.toml`,
  '-p',
  'simulation',
  '--',
]
const { status } = spawnSync('cargo', [...args, ...process.argv.slice(2)], { stdio: 'inherit' })
process.exitCode = status ?? 1
