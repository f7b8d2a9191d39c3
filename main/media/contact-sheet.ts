import sharp, { type OverlayOptions } from 'sharp'

/** RGB, row by row. */
export interface SheetPicture {
  rgb: Uint8Array
  width: number
  height: number
}

export interface SheetRow {
  caption: string
  /** A picture that the others are held against: framed, first in its row and apart from them. */
  reference?: SheetPicture
  /** Pictures of equal size. */
  pictures: readonly SheetPicture[]
}

const gap = 8
/** Between a reference and what is held against it, and between blocks. */
const wideGap = 24
const frameWidth = 3
const captionHeight = 22
const paper = { r: 22, g: 22, b: 22 }
/** Of no paper and no picture's background. */
const frameColor = { r: 245, g: 166, b: 35 }

/** Rows of pictures, each under its caption, enlarged without blur to `tile` pixels; in `blocks` beside each other, below a heading. A PNG. */
export async function contactSheet(
  rows: readonly SheetRow[],
  tile: number,
  { blocks = 1, heading = '' }: { blocks?: number; heading?: string } = {},
): Promise<Uint8Array> {
  const columns = Math.max(...rows.map(({ pictures }) => pictures.length))
  const referenceWidth = rows.some(({ reference }) => reference) ? tile + wideGap : 0
  const blockWidth = referenceWidth + columns * (tile + gap) - gap
  const rowHeight = captionHeight + tile + gap
  const rowsEach = Math.ceil(rows.length / blocks)
  const width = 2 * gap + blocks * (blockWidth + wideGap) - wideGap
  const start = gap + (heading === '' ? 0 : captionHeight + gap)
  const placed: OverlayOptions[] = []
  if (heading !== '') placed.push({ input: await captionImage(heading, width - 2 * gap), left: gap, top: gap })
  for (const [row, { caption, reference, pictures }] of rows.entries()) {
    const blockLeft = gap + Math.floor(row / rowsEach) * (blockWidth + wideGap)
    const top = start + (row % rowsEach) * rowHeight
    if (caption.trim() !== '') placed.push({ input: await captionImage(caption, blockWidth), left: blockLeft, top })
    if (reference)
      placed.push(
        { input: frameImage(tile + 2 * frameWidth), left: blockLeft - frameWidth, top: top + captionHeight - frameWidth },
        { input: await enlarged(reference, tile), left: blockLeft, top: top + captionHeight },
      )
    for (const [column, picture] of pictures.entries())
      placed.push({
        input: await enlarged(picture, tile),
        left: blockLeft + referenceWidth + column * (tile + gap),
        top: top + captionHeight,
      })
  }
  const sheet = sharp({ create: { width, height: start + rowsEach * rowHeight, channels: 3, background: paper } })
  return new Uint8Array(await sheet.composite(placed).png().toBuffer())
}

function enlarged({ rgb, width, height }: SheetPicture, tile: number): Promise<Buffer> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize(tile, tile, { kernel: 'nearest' })
    .png()
    .toBuffer()
}

/** A square that shows as a frame around what is put on it. */
function frameImage(edge: number): OverlayOptions['input'] {
  return { create: { width: edge, height: edge, channels: 3, background: frameColor } }
}

/** Text by Pango, which is not a file loader and so stays allowed. */
async function captionImage(caption: string, width: number): Promise<Buffer> {
  const escaped = caption.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]!)
  const { data, info } = await sharp({
    text: { text: `<span foreground="#ededed">${escaped}</span>`, font: 'sans 10', rgba: true, width },
  })
    .png()
    .toBuffer({ resolveWithObject: true })
  return info.height > captionHeight
    ? sharp(data).extract({ left: 0, top: 0, width: info.width, height: captionHeight }).png().toBuffer()
    : data
}
