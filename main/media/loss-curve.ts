import type { Baselines, MetricPoint } from '#contracts/studio.ts'

export interface LossCurve {
  title: string
  points: readonly MetricPoint[]
  baselines: Baselines
}

interface Point {
  step: number
  loss: number
}

/** Where values lie in the picture. */
interface Scales {
  x: (step: number) => number
  y: (loss: number) => number
}

const size = { width: 800, height: 480 }
export const frame = { left: 64, top: 72, right: 776, bottom: 424 }
const color = { ink: '#1f2933', faint: '#6b7280', grid: '#e5e7eb', each: '#a9c3e4', training: '#1d5fa8', heldOut: '#c2410c' }
const smoothedPositions = 200
/** Room in the frame beyond the values, as shares of their range. */
const room = { above: 0.07, below: 0.04 }
/** Labels of lines that are closer than this would touch. */
const labelHeight = 18

/**
 * The losses of a run by step as an SVG: training thin and smoothed, held out with marks, and a line each for the two predictors that know nothing. The
 * axis of losses is logarithmic, since what is learned late is small.
 */
export function lossCurve({ title, points, baselines }: LossCurve): string {
  const training = series(points, ({ loss }) => loss)
  const heldOut = series(points, ({ validationLoss }) => validationLoss)
  const known = [baselines.untrained, baselines.constant].filter(isLoss)
  const lastStep = Math.max(1, training.at(-1)?.step ?? 0, heldOut.at(-1)?.step ?? 0)
  const [low, high] = rangeOf([...training, ...heldOut].map(({ loss }) => loss).concat(known))
  const scales: Scales = {
    x: (step) => frame.left + (step / lastStep) * (frame.right - frame.left),
    y: (loss) => frame.bottom - (Math.log(loss / low) / Math.log(high / low)) * (frame.bottom - frame.top),
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="13" fill="${color.ink}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>`,
    text(frame.left, 26, escaped(title), `font-size="${titleSize(title)}" font-weight="600"`),
    ...legend(heldOut.at(-1)),
    ...stepAxis(lastStep, scales),
    ...lossAxis([low, high], scales),
    line(extremes(training, lastStep), scales, `stroke="${color.each}" stroke-width="1"`),
    ...levels(baselines, scales),
    line(smoothed(training), scales, `stroke="${color.training}" stroke-width="2"`),
    line(heldOut, scales, `stroke="${color.heldOut}" stroke-width="1.5"`),
    ...heldOut.map(
      ({ step, loss }) => `<circle cx="${at(scales.x(step))}" cy="${at(scales.y(loss))}" r="3" fill="${color.heldOut}" stroke="#ffffff"/>`,
    ),
    `<rect x="${frame.left}" y="${frame.top}" width="${frame.right - frame.left}" height="${frame.bottom - frame.top}" fill="none" stroke="${color.faint}"/>`,
    '</svg>',
    '',
  ].join('\n')
}

/** Multiples of 1, 2 or 5 times a power of ten from 0 to `end`, `most` of them beyond 0 at most. */
export function evenTicks(end: number, most = 8): number[] {
  const rough = end / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const every = Math.max(1, power * [1, 2, 5, 10].find((times) => times * power >= rough * (1 - 1e-9))!)
  return Array.from({ length: Math.floor(end / every + 1e-9) + 1 }, (_, i) => i * every)
}

/** Short numbers between two losses for a logarithmic axis: powers of ten, with so many numbers in between that there are five or more. */
export function logarithmicTicks(low: number, high: number): number[] {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))]
  const finest = Array.from({ length: 90 }, (_, i) => (10 + i) / 10)
  const choices = [[1], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 8], finest].map((digits) =>
    Array.from({ length: last - first + 1 }, (_, i) => digits.map((digit) => Number((digit * 10 ** (first + i)).toPrecision(3))))
      .flat()
      .filter((tick) => tick >= low && tick <= high),
  )
  return choices.find(({ length }) => length >= 5) ?? choices.at(-1)!
}

/** The mean of what lies around each point, at a number of places that suits the picture. The window narrows toward the start, where losses fall steeply. */
export function smoothed(points: readonly Point[]): Point[] {
  const sums = [0]
  for (const { loss } of points) sums.push(sums.at(-1)! + loss)
  const widest = Math.max(3, Math.round(points.length / 50))
  const count = Math.min(points.length, smoothedPositions)
  return Array.from({ length: count }, (_, k) => {
    const i = count === 1 ? 0 : Math.round((k * (points.length - 1)) / (count - 1))
    const radius = Math.min(widest, i)
    const [from, to] = [i - radius, Math.min(points.length, i + radius + 1)]
    return { step: points[i]!.step, loss: (sums[to]! - sums[from]!) / (to - from) }
  })
}

/** Of all points that fall on one column of pixels the least and the greatest: the same picture of fewer points. */
function extremes(points: readonly Point[], lastStep: number): Point[] {
  const columns = frame.right - frame.left
  if (points.length <= 2 * columns) return [...points]
  const byColumn = Map.groupBy(points, ({ step }) => Math.round((step / lastStep) * columns))
  return [...byColumn.values()].flatMap((inside) => {
    const least = inside.reduce((a, b) => (b.loss < a.loss ? b : a))
    const greatest = inside.reduce((a, b) => (b.loss > a.loss ? b : a))
    return least === greatest ? [least] : [least, greatest].sort((a, b) => a.step - b.step)
  })
}

function series(points: readonly MetricPoint[], lossOf: (point: MetricPoint) => number | null): Point[] {
  return points.flatMap((point) => {
    const loss = lossOf(point)
    return isLoss(loss) ? [{ step: point.step, loss }] : []
  })
}

function isLoss(loss: number | null): loss is number {
  return loss !== null && Number.isFinite(loss) && loss > 0
}

function rangeOf(losses: readonly number[]): [low: number, high: number] {
  if (losses.length === 0) return [0.1, 1]
  const [least, greatest] = losses.reduce(([a, b], loss) => [Math.min(a, loss), Math.max(b, loss)], [Infinity, 0])
  const ratio = Math.max(1.5, greatest / least)
  return [least / ratio ** room.below, greatest * ratio ** room.above]
}

function stepAxis(lastStep: number, { x }: Scales): string[] {
  return [
    ...evenTicks(lastStep).flatMap((step) => [
      `<path d="M${at(x(step))} ${frame.bottom}v5" stroke="${color.faint}"/>`,
      text(x(step), frame.bottom + 20, step.toLocaleString('en-US'), 'text-anchor="middle"'),
    ]),
    text((frame.left + frame.right) / 2, size.height - 14, 'step', `text-anchor="middle" fill="${color.faint}"`),
  ]
}

function lossAxis([low, high]: [number, number], { y }: Scales): string[] {
  const middle = (frame.top + frame.bottom) / 2
  return [
    ...logarithmicTicks(low, high).flatMap((loss) => [
      `<path d="M${frame.left} ${at(y(loss))}H${frame.right}" stroke="${color.grid}"/>`,
      text(frame.left - 8, y(loss) + 4.5, String(loss), 'text-anchor="end"'),
    ]),
    text(
      0,
      0,
      'velocity loss, mean squared error',
      `text-anchor="middle" fill="${color.faint}" transform="translate(18 ${middle}) rotate(-90)"`,
    ),
  ]
}

/** What predictors reach that know nothing; each label stands above its line, or below where another line is close above. */
function levels({ untrained, constant }: Baselines, { y }: Scales): string[] {
  const lines = [
    { name: 'untrained network', loss: untrained, dash: '2 4' },
    { name: 'best constant', loss: constant, dash: '8 4' },
  ]
    .flatMap(({ loss, ...words }) => (isLoss(loss) ? [{ ...words, loss, height: y(loss) }] : []))
    .sort((a, b) => a.height - b.height)
  return lines.flatMap(({ name, loss, dash, height }, i) => {
    const crowded = i > 0 && height - lines[i - 1]!.height < labelHeight
    return [
      `<path d="M${frame.left} ${at(height)}H${frame.right}" stroke="${color.faint}" stroke-width="1.5" stroke-dasharray="${dash}"/>`,
      text(frame.right - 8, height + (crowded ? 15 : -6), `${name} ${loss.toFixed(3)}`, `text-anchor="end" fill="${color.faint}"`),
    ]
  })
}

function legend(last: Point | undefined): string[] {
  const entries = [
    { words: 'training, each step', mark: `stroke="${color.each}" stroke-width="1"`, width: 190 },
    { words: 'training, smoothed', mark: `stroke="${color.training}" stroke-width="2"`, width: 185 },
    {
      words: last ? `held out, ${last.loss.toFixed(4)} at step ${last.step.toLocaleString('en-US')}` : 'held out: none',
      mark: `stroke="${color.heldOut}" stroke-width="1.5"`,
      width: 0,
    },
  ]
  let left = frame.left
  return entries.flatMap(({ words, mark, width }, i) => {
    const start = left
    left += width
    return [
      `<path d="M${start} 50h24" ${mark}/>`,
      ...(i === 2 ? [`<circle cx="${start + 12}" cy="50" r="3" fill="${color.heldOut}" stroke="#ffffff"/>`] : []),
      text(start + 32, 54.5, words),
    ]
  })
}

function line(points: readonly Point[], { x, y }: Scales, stroke: string): string {
  const places = points.map(({ step, loss }) => `${at(x(step))},${at(y(loss))}`)
  return `<polyline points="${places.join(' ')}" fill="none" stroke-linejoin="round" ${stroke}/>`
}

function text(x: number, y: number, words: string, more = ''): string {
  return `<text x="${at(x)}" y="${at(y)}"${more && ` ${more}`}>${words}</text>`
}

/** Bold letters of usual fonts are two thirds as wide as they are high. */
function titleSize(title: string): number {
  return Math.min(16, Math.floor((frame.right - frame.left) / (title.length * 0.64)))
}

/** A tenth of a pixel is fine enough. */
function at(place: number): string {
  return String(Math.round(place * 10) / 10)
}

function escaped(words: string): string {
  return words.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]!)
}
