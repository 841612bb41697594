/** Bars side by side for several engines, one group a workload, on a logarithmic axis. */
import { formatCount, formatTick } from './format.ts'
import { colorOf, legend, line, logScale, round, svgDocument, text } from './svg.ts'

export interface BarChart {
  readonly title: string
  readonly unit: string
  readonly series: readonly string[]
  readonly groups: readonly {
    readonly label: string
    /** One value per series; undefined where there is none. */
    readonly values: readonly (number | undefined)[]
  }[]
}

const WIDTH = 860
const LEFT = 300
const RIGHT = 70
const TOP = 84
const BAR = 11
const GAP = 12

export function barChart(chart: BarChart): string {
  const values = chart.groups.flatMap((group) =>
    group.values.filter((value) => value !== undefined),
  )
  const scale = logScale(values, LEFT, WIDTH - RIGHT)
  const groupHeight = chart.series.length * (BAR + 1) + GAP
  const bottom = TOP + chart.groups.length * groupHeight
  const parts = [...legend(chart.series, WIDTH)]
  for (const tick of scale.ticks) {
    parts.push(line(scale.at(tick), TOP - 8, scale.at(tick), bottom, 'grid'))
    parts.push(text(scale.at(tick), bottom + 16, formatTick(tick), axisText('middle')))
  }
  parts.push(text(WIDTH - RIGHT, bottom + 34, chart.unit, axisText('end')))
  chart.groups.forEach((group, g) => {
    const top = TOP + g * groupHeight
    const middle = top + (groupHeight - GAP) / 2 + 4
    parts.push(text(LEFT - 10, middle, group.label, { anchor: 'end' }))
    group.values.forEach((value, s) => {
      if (value === undefined) return
      const y = top + s * (BAR + 1)
      const end = scale.at(value)
      const color = colorOf(chart.series[s] as string, s)
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${round(end - LEFT)}" height="${BAR}" rx="2" fill="${color}"/>`,
        text(end + 5, y + BAR - 1, formatCount(value), { className: 'faint small' }),
      )
    })
  })
  parts.push(line(LEFT, TOP - 8, LEFT, bottom, 'axis'))
  return svgDocument({ width: WIDTH, height: bottom + 46, title: chart.title }, parts)
}

function axisText(anchor: 'middle' | 'end'): { className: string; anchor: 'middle' | 'end' } {
  return { className: 'faint small', anchor }
}
