import type { Crop, Measures, Rectangle, Size } from '#contracts/curation.ts'
import { PictureError, trainingPicture, type TrainingForm } from './picture.ts'
import { measureFocus } from './picture-measures.ts'
import { squareOf } from './training-crop.ts'

/** A crop of an upright picture of a size. */
export interface CropWish extends Size {
  crop: Crop
  /** As it was measured; null while it is not. */
  focus: Measures['focus'] | null
}

/** The square that a crop leads to (see `squareOf`); for a smart one without a measured focus the picture itself is looked at. */
export async function squareIn(bytes: Uint8Array, wish: CropWish): Promise<Rectangle | null> {
  const focus = wish.crop.kind === 'smart' && !wish.focus ? await measureFocus(bytes) : wish.focus
  return squareOf({ ...wish, focus })
}

/** The training pixels of a crop and what they are made of; null when the decoder, another than at the import perhaps, refuses the file. */
export async function cropPicture(
  bytes: Uint8Array,
  wish: CropWish,
  form: Omit<TrainingForm, 'area'>,
): Promise<{ rgb: Uint8Array; area: Rectangle | null } | null> {
  try {
    const area = await squareIn(bytes, wish)
    const { rgb } = await trainingPicture(bytes, { ...form, area })
    return { rgb, area }
  } catch (error) {
    if (error instanceof PictureError || wish.crop.kind === 'smart') return null // looking at a picture fails as decoding it does
    throw error
  }
}
