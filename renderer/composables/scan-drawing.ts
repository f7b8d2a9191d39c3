import { stepSide, type Grid, type ScanPath } from './scan-path.ts'

/** A grid of patches on the screen: the edge of a patch in CSS pixels. */
export interface PatchGeometry extends Grid {
  cell: number
}

/** Colors of the moment's theme: those of the path from its start to its end, and those that set it off from any picture. */
export interface ScanColors {
  stops: readonly string[]
  casing: string
  ahead: string
}

/** The path up to `head` (tokens passed, parts count) in its colors; what lies ahead as a faint line; steps that are no neighbors dashed. */
export function drawScan(ctx: CanvasRenderingContext2D, path: ScanPath, geometry: PatchGeometry, head: number, colors: ScanColors): void {
  const { cell, columns } = geometry
  const length = path.tokenAt.length
  const width = Math.max(1.25, Math.min(3, cell * 0.1))
  const last = Math.min(length - 1, Math.max(0, head - 1))
  const shareAt = (position: number) => position / Math.max(1, length - 1)
  ctx.lineJoin = ctx.lineCap = 'round'

  // One line without seams, dyed patch by patch; what lies under it is drawn after it.
  strokeSteps(ctx, path, geometry, { from: 0, to: last, color: '#fff', width })
  ctx.globalCompositeOperation = 'source-atop'
  for (let position = 0; position <= Math.ceil(last); position++) {
    const token = path.tokenAt[position]!
    ctx.fillStyle = colorAt(colors.stops, shareAt(position))
    ctx.fillRect((token % columns) * cell, Math.floor(token / columns) * cell, cell, cell)
  }
  ctx.globalCompositeOperation = 'destination-over'
  strokeSteps(ctx, path, geometry, { from: 0, to: last, color: colors.casing, width: width + 2 })
  strokeSteps(ctx, path, geometry, { from: Math.floor(last), to: length - 1, color: colors.ahead, width: Math.max(1, width / 2) })
  ctx.globalCompositeOperation = 'source-over'
  strokeJumps(ctx, path, geometry, last, (position) => colorAt(colors.stops, shareAt(position)))

  const size = Math.max(3, Math.min(9, cell * 0.2))
  mark(ctx, pointAt(path, geometry, 0), size, 'ring', colors.stops[0]!, colors.casing)
  if (head >= length) mark(ctx, pointAt(path, geometry, length - 1), size, 'square', colors.stops.at(-1)!, colors.casing)
  else mark(ctx, pointAt(path, geometry, last), size, 'dot', colorAt(colors.stops, shareAt(last)), colors.casing)
}

/** Lines between the patches, in the color that lies behind the picture, so that it falls apart into what the network gets. */
export function drawPatchLines(ctx: CanvasRenderingContext2D, { rows, columns, cell }: PatchGeometry, color: string): void {
  if (cell < 4) return
  const width = cell >= 16 ? 2 : 1
  ctx.fillStyle = color
  for (let column = 1; column < columns; column++) ctx.fillRect(column * cell - width / 2, 0, width, rows * cell)
  for (let row = 1; row < rows; row++) ctx.fillRect(0, row * cell - width / 2, columns * cell, width)
}

/** The color at a share of the way, 0 to 1, between stops written as #rrggbb. */
export function colorAt(stops: readonly string[], share: number): string {
  const place = Math.min(1, Math.max(0, share)) * (stops.length - 1)
  const low = Math.min(stops.length - 2, Math.floor(place))
  const [a, b] = [channels(stops[low]!), channels(stops[low + 1]!)]
  return `rgb(${a.map((value, i) => Math.round(value + (b[i]! - value) * (place - low))).join(' ')})`
}

const channels = (hex: string): number[] => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16))

interface Stretch {
  /** Positions in the scan; parts lie on the way to the next. */
  from: number
  to: number
  color: string
  width: number
}

/** The steps to neighbors, as one line. */
function strokeSteps(ctx: CanvasRenderingContext2D, path: ScanPath, geometry: PatchGeometry, { from, to, color, width }: Stretch): void {
  ctx.strokeStyle = color
  ctx.lineWidth = width
  ctx.beginPath()
  ctx.moveTo(...pointAt(path, geometry, from))
  for (let at = from; at < to;) {
    const next = Math.min(to, Math.floor(at) + 1)
    if (isJump(path, geometry, Math.floor(at))) ctx.moveTo(...pointAt(path, geometry, next))
    else ctx.lineTo(...pointAt(path, geometry, next))
    at = next
  }
  ctx.stroke()
}

/** The steps to others, each dashed in its own color, up to `last`. */
function strokeJumps(
  ctx: CanvasRenderingContext2D,
  path: ScanPath,
  geometry: PatchGeometry,
  last: number,
  color: (position: number) => string,
): void {
  if (path.jumps === 0) return
  ctx.save()
  ctx.globalAlpha = 0.5
  ctx.lineWidth = 1
  ctx.setLineDash([4, 4])
  for (let position = 0; position < last; position++) {
    if (!isJump(path, geometry, position)) continue
    ctx.strokeStyle = color(position)
    ctx.beginPath()
    ctx.moveTo(...pointAt(path, geometry, position))
    ctx.lineTo(...pointAt(path, geometry, Math.min(last, position + 1)))
    ctx.stroke()
  }
  ctx.restore()
}

function isJump({ tokenAt }: ScanPath, grid: Grid, position: number): boolean {
  return stepSide(tokenAt[position]!, tokenAt[position + 1]!, grid) === null
}

/** The middle of the patch at a position; between two where the position has a part. */
function pointAt({ tokenAt }: ScanPath, { columns, cell }: PatchGeometry, position: number): [number, number] {
  const low = Math.floor(position)
  const part = position - low
  const a = tokenAt[low]!
  const b = part > 0 ? tokenAt[low + 1]! : a
  const along = (of: (token: number) => number) => (of(a) + (of(b) - of(a)) * part + 0.5) * cell
  return [along((token) => token % columns), along((token) => Math.floor(token / columns))]
}

function mark(
  ctx: CanvasRenderingContext2D,
  [x, y]: [number, number],
  size: number,
  shape: 'ring' | 'dot' | 'square',
  color: string,
  casing: string,
): void {
  ctx.beginPath()
  if (shape === 'square') ctx.rect(x - size * 0.8, y - size * 0.8, size * 1.6, size * 1.6)
  else ctx.arc(x, y, size, 0, 2 * Math.PI)
  ctx.lineWidth = 3
  ctx.strokeStyle = casing
  ctx.stroke()
  ctx.fillStyle = shape === 'ring' ? casing : color
  ctx.fill()
  ctx.lineWidth = 2
  ctx.strokeStyle = color
  ctx.stroke()
}
