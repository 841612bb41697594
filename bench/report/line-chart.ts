/** Lines over two logarithmic axes. */
import { colorOf, legend, line, logScale, round, svgDocument, text } from './svg.ts'

export interface LineChart {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly Series[]
}

export interface Axis {
  readonly label: string
  format(value: number): string
}

export interface Series {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
  /** Dashed lines stand for what is shown for comparison. */
  readonly isDashed?: boolean
}

const WIDTH = 860
const HEIGHT = 460
const LEFT = 80
const RIGHT = 24
const TOP = 100
const BOTTOM = 60

export function lineChart(chart: LineChart): string {
  const points = chart.series.flatMap((series) => series.points)
  const x = logScale(
    points.map((point) => point.x),
    LEFT,
    WIDTH - RIGHT,
  )
  const y = logScale(
    points.map((point) => point.y),
    HEIGHT - BOTTOM,
    TOP,
  )
  const parts = [
    ...legend(
      chart.series.map((series) => series.name),
      WIDTH,
    ),
  ]
  for (const tick of y.ticks) {
    parts.push(line(LEFT, y.at(tick), WIDTH - RIGHT, y.at(tick), 'grid'))
    parts.push(text(LEFT - 8, y.at(tick) + 4, chart.y.format(tick), faint('end')))
  }
  for (const tick of x.ticks) {
    parts.push(line(x.at(tick), TOP, x.at(tick), HEIGHT - BOTTOM, 'grid'))
    parts.push(text(x.at(tick), HEIGHT - BOTTOM + 18, chart.x.format(tick), faint('middle')))
  }
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, chart.x.label, faint('middle')))
  parts.push(text(LEFT, TOP - 8, chart.y.label, faint('start')))
  chart.series.forEach((series, place) => {
    const color = colorOf(series.name, place)
    const path = series.points
      .map((point, i) => `${i === 0 ? 'M' : 'L'}${round(x.at(point.x))} ${round(y.at(point.y))}`)
      .join(' ')
    const dash = series.isDashed === true ? ' stroke-dasharray="6 4"' : ''
    parts.push(`<path d="${path}" fill="none" stroke="${color}" stroke-width="2.2"${dash}/>`)
    for (const point of series.points) {
      parts.push(
        `<circle cx="${round(x.at(point.x))}" cy="${round(y.at(point.y))}" r="3.2" fill="${color}"/>`,
      )
    }
  })
  return svgDocument({ width: WIDTH, height: HEIGHT, title: chart.title }, parts)
}

function faint(anchor: 'start' | 'middle' | 'end'): {
  className: string
  anchor: 'start' | 'middle' | 'end'
} {
  return { className: 'faint small', anchor }
}
