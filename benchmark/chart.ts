// Draws the charts of the README from the results of benchmark runs, in a light and a dark version.

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { Results } from './results.js'

interface Bar {
  readonly label: string
  readonly value: number
  readonly ours: boolean
  /** The part of the value that is drawn in a lighter shade: system time. */
  readonly rest?: number
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly bars: readonly Bar[]
  /** The meaning of the two shades. */
  readonly legend?: readonly [string, string]
}

export interface Theme {
  readonly text: string
  readonly faint: string
  readonly ours: string
  readonly others: string
}

export const THEMES: Record<'light' | 'dark', Theme> = {
  light: { text: '#1f2328', faint: '#59636e', ours: '#0969da', others: '#8c959f' },
  dark: { text: '#f0f6fc', faint: '#9198a1', ours: '#4493f8', others: '#656c76' },
}

const LABELS: Record<string, string> = {
  bare: 'bare epoll loop',
  'wait-sync': 'm-socket waitSync',
  multiplexer: 'm-socket wait',
  handlers: 'm-socket handlers',
  borrowed: 'm-socket receiveInto',
  'm-socket/net': 'm-socket/net',
  net: 'node:net',
  bun: 'Bun',
  deno: 'Deno',
}

const OURS = new Set(['wait-sync', 'multiplexer', 'handlers', 'borrowed', 'm-socket/net'])

const WIDTH = 640
const LEFT = 160
const RIGHT = 90
const ROW = 26

export function draw({ title, unit, bars, legend }: Chart, { text, faint, ours, others }: Theme): string {
  const largest = Math.max(...bars.map(({ value }) => value))
  const scale = (value: number): number => Math.round((value / largest) * (WIDTH - LEFT - RIGHT))
  const rows = bars.map(({ label, value, rest = 0, ours: isOurs }, at) => {
    const y = 52 + at * ROW
    const fill = isOurs ? ours : others
    const first = scale(value - rest)
    return [
      `<text x="${LEFT - 8}" y="${y + 13}" text-anchor="end" fill="${text}">${label}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${first}" height="18" fill="${fill}"/>`,
      ...(rest > 0
        ? [
            `<rect x="${LEFT + first}" y="${y}" width="${scale(value) - first}" height="18" fill="${fill}" fill-opacity="0.5"/>`,
          ]
        : []),
      `<text x="${LEFT + scale(value) + 8}" y="${y + 13}" fill="${faint}">${figure(value, unit)} ${unit}</text>`,
    ].join('\n')
  })
  const key = legend ? ` (full shade: ${legend[0]}, half shade: ${legend[1]})` : ''
  const height = 60 + bars.length * ROW
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif" font-size="13">`,
    `<title>${title}</title>`,
    `<text x="12" y="22" font-size="15" font-weight="bold" fill="${text}">${title}</text>`,
    `<text x="12" y="40" font-size="12" fill="${faint}">Shorter is better${key}.</text>`,
    ...rows,
    '</svg>\n',
  ].join('\n')
}

function figure(value: number, unit: string): string {
  return unit === 'B' ? Math.round(value).toLocaleString('en') : value.toFixed(1)
}

/** The charts that the results suffice for, by file name. */
export function charts({ timed, memory }: Results): Record<string, Chart> {
  const echo = timed['echo-64x50']
  const made: Record<string, Chart> = {}
  if (echo) {
    const bars = drawn(Object.keys(echo)).map((name) => ({
      ...named(name),
      value: echo[name]!.cpu.median,
      rest: echo[name]!.system,
    }))
    made['cpu-per-echo'] = {
      title: 'Server CPU per echo of 64 bytes, 50 connections',
      unit: 'µs',
      bars,
      legend: ['user time', 'system time'],
    }
  }
  const [first] = Object.values(memory)
  if (first) {
    // The program for Deno keeps a buffer for each connection: with its bar, all other bars would be tiny.
    const bars = drawn(Object.keys(memory))
      .filter((name) => name !== 'deno')
      .map((name) => ({ ...named(name), value: memory[name]!.collected }))
    made['memory-per-connection'] = {
      title: `Resident memory per idle connection, ${first.connections.toLocaleString('en')} connections`,
      unit: 'B',
      bars,
    }
  }
  return made
}

function drawn(names: readonly string[]): string[] {
  return names.filter((name) => name in LABELS)
}

function named(name: string): { label: string; ours: boolean } {
  return { label: LABELS[name]!, ours: OURS.has(name) }
}

const folder = fileURLToPath(new URL('../docs/charts', import.meta.url))

/** Writes the charts that the results suffice for. */
export function write(results: Results): string[] {
  return save(charts(results))
}

export function save(made: Record<string, Chart>): string[] {
  return Object.entries(made).flatMap(([name, chart]) => saveDrawing(name, (theme) => draw(chart, theme)))
}

/** Writes `docs/charts/NAME-light.svg` and `-dark.svg`. */
export function saveDrawing(name: string, drawing: (theme: Theme) => string): string[] {
  mkdirSync(folder, { recursive: true })
  return (['light', 'dark'] as const).map((theme) => {
    const file = `${folder}/${name}-${theme}.svg`
    writeFileSync(file, drawing(THEMES[theme]))
    return file
  })
}
