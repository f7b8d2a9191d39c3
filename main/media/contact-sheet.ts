import sharp, { type OverlayOptions } from 'sharp'

export interface SheetRow {
  caption: string
  /** Pictures of equal size, RGB. */
  pictures: readonly { rgb: Uint8Array; width: number; height: number }[]
}

const gap = 8
const captionHeight = 22
const paper = { r: 22, g: 22, b: 22 }

/** Rows of pictures, each under its caption, enlarged without blur to `tile` pixels. A PNG. */
export async function contactSheet(rows: readonly SheetRow[], tile: number): Promise<Uint8Array> {
  const columns = Math.max(...rows.map(({ pictures }) => pictures.length))
  const width = gap + columns * (tile + gap)
  const rowHeight = captionHeight + tile + gap
  const placed: OverlayOptions[] = []
  for (const [row, { caption, pictures }] of rows.entries()) {
    const top = gap + row * rowHeight
    if (caption.trim() !== '') placed.push({ input: await captionImage(caption, width - 2 * gap), left: gap, top })
    for (const [column, { rgb, width: w, height: h }] of pictures.entries()) {
      const input = await sharp(rgb, { raw: { width: w, height: h, channels: 3 } })
        .resize(tile, tile, { kernel: 'nearest' })
        .png()
        .toBuffer()
      placed.push({ input, left: gap + column * (tile + gap), top: top + captionHeight })
    }
  }
  const sheet = sharp({ create: { width, height: gap + rows.length * rowHeight, channels: 3, background: paper } })
  return new Uint8Array(await sheet.composite(placed).png().toBuffer())
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
