/** Strokes up to this wide count: an odd number of pixels. The picture is looked at as it is and at half its size, for large letters. */
const strokeWidth = 7
/** How much a stroke differs from what surrounds it, of 255. */
const strokeContrast = 16
/** Of small letters several may touch: a letter is taken to be `pitch` as wide as high. */
const letter = { minHeight: 5, maxHeight: 56, minPixels: 8, minFill: 0.12, maxFill: 0.92, pitch: 0.8, maxTouching: 8 }
/** Fewer letters in a row happen by chance. */
const fewest = 4
/** So many letters beyond the fewest make the figure a half. */
const halfLetters = 4

interface Blob {
  left: number
  right: number
  top: number
  bottom: number
  pixels: number
  /** Sum of the gray of its pixels. */
  light: number
}

/**
 * How much a picture looks as if words were laid over it, 0 to 1: rows of letters of one height on one line and of one gray, that stand apart from
 * what is above and below them. A half is eight such letters. It is a hint and no proof: lettering that belongs to the scene counts too, and a stamp
 * that is turned, very faint, or lies in a busy texture is not seen.
 */
export function lettering(gray: Uint8Array, width: number, height: number): number {
  const half = halved(gray, width, height)
  const most = Math.max(lettersIn(gray, width, height), lettersIn(half, width >> 1, height >> 1))
  const beyond = Math.max(0, most - fewest)
  return beyond / (beyond + halfLetters)
}

/** Letters that are lighter than what is around them, or darker, whichever are more. */
function lettersIn(gray: Uint8Array, width: number, height: number): number {
  if (width < 2 * strokeWidth || height < 2 * strokeWidth) return 0
  const turned = gray.map((level) => 255 - level)
  return Math.max(...[gray, turned].map((side) => lettersOf(side, strokes(side, width, height), width, height)))
}

/** Means of four pixels. */
function halved(gray: Uint8Array, width: number, height: number): Uint8Array {
  const [w, h] = [width >> 1, height >> 1]
  const out = new Uint8Array(w * h)
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const at = 2 * y * width + 2 * x
      out[y * w + x] = (gray[at]! + gray[at + 1]! + gray[at + width]! + gray[at + width + 1]!) >> 2
    }
  return out
}

/** 1 where a pixel is much lighter than its surroundings: what a square of a stroke's width finds no room in (a white top-hat). */
function strokes(gray: Uint8Array, width: number, height: number): Uint8Array {
  const opened = largest(smallest(gray, width, height), width, height)
  return gray.map((level, i) => (level - opened[i]! >= strokeContrast ? 1 : 0))
}

/** The smallest value of a square around each pixel, first along rows, then along columns. */
function smallest(values: Uint8Array, width: number, height: number): Uint8Array {
  const half = strokeWidth >> 1
  const rows = new Uint8Array(values.length)
  for (let y = 0, line = 0; y < height; y++, line += width)
    for (let x = 0; x < width; x++) {
      let best = 255
      const end = line + Math.min(width - 1, x + half)
      for (let at = line + Math.max(0, x - half); at <= end; at++) if (values[at]! < best) best = values[at]!
      rows[line + x] = best
    }
  const out = rows.slice()
  for (let y = 0; y < height; y++)
    for (let k = Math.max(0, y - half); k <= Math.min(height - 1, y + half); k++)
      for (let x = 0, at = y * width, from = k * width; x < width; x++, at++, from++) if (rows[from]! < out[at]!) out[at] = rows[from]!
  return out
}

/** The largest value of a square around each pixel. */
function largest(values: Uint8Array, width: number, height: number): Uint8Array {
  return smallest(
    values.map((value) => 255 - value),
    width,
    height,
  ).map((value) => 255 - value)
}

/** Letters in the rows that stand apart, of the best half of the picture's rows together. */
function lettersOf(gray: Uint8Array, mask: Uint8Array, width: number, height: number): number {
  const blobs = blobsOf(gray, mask, width, height)
    .filter(isLetter)
    .sort((a, b) => a.left - b.left)
  const sums = summed(mask, width, height)
  const taken = new Set<Blob>()
  let letters = 0
  for (const first of blobs) {
    if (taken.has(first)) continue
    const row = rowFrom(first, blobs, taken)
    const long = row.reduce((sum, blob) => sum + lettersOfBlob(blob), 0)
    if (long <= fewest || row.length < 3) continue
    for (const blob of row) taken.add(blob)
    if (standsApart(row, sums, width, height)) letters += long
  }
  return letters
}

function lettersOfBlob({ left, right, top, bottom }: Blob): number {
  return Math.max(1, Math.round((right - left + 1) / (letter.pitch * (bottom - top + 1))))
}

function isLetter({ left, right, top, bottom, pixels }: Blob): boolean {
  const [wide, high] = [right - left + 1, bottom - top + 1]
  const fill = pixels / (wide * high)
  return (
    high >= letter.minHeight &&
    high <= letter.maxHeight &&
    wide <= letter.maxTouching * letter.pitch * high &&
    pixels >= letter.minPixels &&
    fill >= letter.minFill &&
    fill <= letter.maxFill
  )
}

/** The letters that follow each other to the right on one line. */
function rowFrom(first: Blob, blobs: readonly Blob[], taken: ReadonlySet<Blob>): Blob[] {
  const row = [first]
  for (const next of blobs) {
    const last = row.at(-1)!
    if (next.left <= last.left || taken.has(next)) continue
    const high = Math.max(last.bottom - last.top, next.bottom - next.top) + 1
    if (next.left - last.right > 1.2 * high) {
      if (next.left - last.right > 3 * letter.maxHeight) break
      continue
    }
    if (follows(first, last, next)) row.push(next)
  }
  return row
}

function follows(first: Blob, last: Blob, next: Blob): boolean {
  const high = (blob: Blob) => blob.bottom - blob.top + 1
  const shade = (blob: Blob) => blob.light / blob.pixels
  const overlap = Math.min(last.bottom, next.bottom) - Math.max(last.top, next.top) + 1
  return (
    next.left > last.right - 2 &&
    overlap >= 0.6 * Math.min(high(last), high(next)) &&
    Math.max(high(first), high(next)) <= 1.8 * Math.min(high(first), high(next)) &&
    Math.min(Math.abs(next.bottom - first.bottom), Math.abs(next.top - first.top)) <= 0.25 * Math.max(high(first), high(next)) &&
    Math.abs(shade(next) - shade(first)) <= 64
  )
}

/** Whether a row is much fuller of strokes than what lies above and below it. */
function standsApart(row: readonly Blob[], sums: Uint32Array, width: number, height: number): boolean {
  const left = Math.min(...row.map((blob) => blob.left))
  const right = Math.max(...row.map((blob) => blob.right))
  const top = Math.min(...row.map((blob) => blob.top))
  const bottom = Math.max(...row.map((blob) => blob.bottom))
  const high = bottom - top + 1
  const share = (from: number, to: number) => {
    const [y0, y1] = [Math.max(0, from), Math.min(height, to)]
    if (y1 <= y0) return 0
    const at = (x: number, y: number) => sums[y * (width + 1) + x]!
    return (at(right + 1, y1) - at(left, y1) - at(right + 1, y0) + at(left, y0)) / ((y1 - y0) * (right - left + 1))
  }
  const inside = share(top, bottom + 1)
  return share(top - high, top - 1) + share(bottom + 2, bottom + 1 + high) <= 0.35 * inside
}

function summed(mask: Uint8Array, width: number, height: number): Uint32Array {
  const sums = new Uint32Array((width + 1) * (height + 1))
  for (let y = 0; y < height; y++) {
    let line = 0
    for (let x = 0; x < width; x++) {
      line += mask[y * width + x]!
      sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1]! + line
    }
  }
  return sums
}

/** Strokes that touch each other, also at corners. */
function blobsOf(gray: Uint8Array, mask: Uint8Array, width: number, height: number): Blob[] {
  const seen = new Uint8Array(mask.length)
  const blobs: Blob[] = []
  const waiting: number[] = []
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] === 0 || seen[start] === 1) continue
    const blob: Blob = { left: width, right: 0, top: height, bottom: 0, pixels: 0, light: 0 }
    seen[start] = 1
    waiting.push(start)
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      const [x, y] = [at % width, Math.floor(at / width)]
      blob.left = Math.min(blob.left, x)
      blob.right = Math.max(blob.right, x)
      blob.top = Math.min(blob.top, y)
      blob.bottom = Math.max(blob.bottom, y)
      blob.pixels++
      blob.light += gray[at]!
      for (let ny = Math.max(0, y - 1); ny <= Math.min(height - 1, y + 1); ny++)
        for (let nx = Math.max(0, x - 1); nx <= Math.min(width - 1, x + 1); nx++) {
          const next = ny * width + nx
          if (mask[next] === 0 || seen[next] === 1) continue
          seen[next] = 1
          waiting.push(next)
        }
    }
    blobs.push(blob)
  }
  return blobs
}
