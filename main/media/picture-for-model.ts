import { openPicture, secondsLimit } from './picture.ts'

const serverSide = 1024

/** How a picture comes into a model's rectangle: whole on white, stretched, or filling it. */
export type PictureFit = 'contain' | 'fill' | 'cover'

/** A picture as JPEG for a server: upright, on white, at most 1024 pixels long, without metadata. */
export async function pictureForServer(bytes: Uint8Array): Promise<Uint8Array> {
  const picture = await openPicture(bytes)
    .timeout({ seconds: secondsLimit })
    .rotate()
    .flatten({ background: '#ffffff' })
    .resize({ width: serverSide, height: serverSide, fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .jpeg({ quality: 90 })
    .toBuffer()
  return new Uint8Array(picture)
}

/** RGB pixels of a picture for a model, width x height x 3, row by row: upright, on white. */
export async function pixelsForModel(
  bytes: Uint8Array,
  { width, height, fit }: { width: number; height: number; fit: PictureFit },
): Promise<Uint8Array> {
  const pixels = await openPicture(bytes)
    .timeout({ seconds: secondsLimit })
    .rotate()
    .flatten({ background: '#ffffff' })
    .resize(width, height, { fit, background: '#ffffff', kernel: 'cubic' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer()
  return new Uint8Array(pixels)
}
