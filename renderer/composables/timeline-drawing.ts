import { heightOfScore, xOf, type Piece, type Sight } from './timeline.ts'

export interface TimelineColors {
  text: string
  quiet: string
  stage: string
  clip: string
  onClip: string
  warn: string
}

const densePixels = 10

/** The colors of the theme that is on. */
export function timelineColors(): TimelineColors {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string) => style.getPropertyValue(name).trim()
  return {
    text: color('--text'),
    quiet: color('--text-2'),
    stage: color('--stage'),
    clip: color('--series-1'),
    onClip: color('--on-accent'),
    warn: color('--warn'),
  }
}

/** The score of every frame as a curve over the pictures, the highest of a pixel's frames; cuts as lines over the whole height. */
export function drawScores(
  ctx: CanvasRenderingContext2D,
  scores: readonly number[],
  cuts: readonly number[],
  sight: Sight,
  height: number,
): void {
  const step = Math.max(1, sight.width / Math.max(1, sight.to - sight.from))
  const y = (score: number) => height - heightOfScore(score) * (height - 2) - 1
  const curve = new Path2D()
  curve.moveTo(0, height)
  for (let x = 0; x < sight.width; x += step) {
    const first = Math.floor(sight.from + (x / sight.width) * (sight.to - sight.from))
    const end = Math.max(first + 1, Math.floor(sight.from + ((x + step) / sight.width) * (sight.to - sight.from)))
    let highest = 0
    for (let frame = first; frame < end && frame < scores.length; frame++) highest = Math.max(highest, scores[frame]!)
    curve.lineTo(x, y(highest))
    curve.lineTo(Math.min(sight.width, x + step), y(highest))
  }
  curve.lineTo(sight.width, height)
  // Pictures are of any color: white in a dark casing is seen on all of them, in both themes.
  ctx.fillStyle = 'rgb(0 0 0 / 0.38)'
  ctx.fill(curve)
  ctx.lineJoin = 'round'
  for (const [width, color] of [
    [3.5, 'rgb(0 0 0 / 0.65)'],
    [1.5, '#ffffff'],
  ] as const) {
    ctx.lineWidth = width
    ctx.strokeStyle = color
    ctx.stroke(curve)
  }
  // Where cuts lie close, each is a thin line, so that pictures and curve are still seen.
  const places = [...new Set(cuts.filter((cut) => cut >= sight.from && cut < sight.to).map((cut) => Math.round(xOf(cut, sight))))]
  const isDense = places.length > sight.width / densePixels
  for (const x of places) {
    ctx.fillStyle = 'rgb(0 0 0 / 0.7)'
    if (!isDense) ctx.fillRect(x - 2, 0, 4, height)
    ctx.fillStyle = isDense ? 'rgb(255 210 74 / 0.45)' : '#ffd24a'
    ctx.fillRect(isDense ? x : x - 1, 0, isDense ? 1 : 2, height)
  }
}

/** Clips as bars, what is dropped hatched; the piece that is pointed at has a frame. */
export function drawPieces(
  ctx: CanvasRenderingContext2D,
  pieces: readonly Piece[],
  pointed: number,
  sight: Sight,
  height: number,
  colors: TimelineColors,
): void {
  const [stripes, quiet] = [hatching(ctx, colors.stage, colors.warn), hatching(ctx, colors.stage, colors.quiet)]
  for (const [i, piece] of pieces.entries()) {
    if (piece.last < sight.from || piece.first >= sight.to) continue
    const [left, right] = [xOf(piece.first, sight), xOf(piece.last + 1, sight)]
    const gap = right - left > 4 ? 1 : 0
    ctx.fillStyle = piece.kind === 'clip' ? colors.clip : piece.reason === 'trimmed' ? quiet : stripes
    ctx.fillRect(left + gap / 2, 1, Math.max(1, right - left - gap), height - 2)
    if (piece.kind === 'clip') {
      if (right - left > 26) {
        ctx.fillStyle = colors.onClip
        ctx.font = '600 11px Inter Variable, sans-serif'
        ctx.textBaseline = 'middle'
        ctx.textAlign = 'center'
        ctx.fillText(String(piece.frames), (left + right) / 2, height / 2 + 0.5)
      }
    }
    if (i === pointed) {
      ctx.lineWidth = 2
      ctx.strokeStyle = colors.text
      ctx.strokeRect(left + 1, 1, Math.max(2, right - left - 2), height - 2)
    }
  }
}

function hatching(ctx: CanvasRenderingContext2D, ground: string, color: string): CanvasPattern | string {
  const tile = document.createElement('canvas')
  ;[tile.width, tile.height] = [6, 6]
  const brush = tile.getContext('2d')
  if (!brush) return color
  brush.fillStyle = ground
  brush.fillRect(0, 0, 6, 6)
  brush.strokeStyle = color
  brush.lineWidth = 1.4
  for (const at of [-6, 0, 6]) {
    brush.moveTo(at, 6)
    brush.lineTo(at + 6, 0)
  }
  brush.stroke()
  return ctx.createPattern(tile, 'repeat') ?? color
}
