import { readFile } from 'node:fs/promises'
import { crop } from '#contracts/curation.ts'
import { ledgerFilter } from '#contracts/ledger.ts'
import { itemId, pictureId, runId, type ItemId } from '#contracts/project.ts'
import { videoId } from '#contracts/video.ts'
import type { Studio } from '../compose.ts'
import { readPixels } from '../media/dataset-files.ts'
import { readOriginal, showOriginal, showWholeOriginal } from '../media/original-picture.ts'
import { itemPicture, thumbnail } from '../media/thumbnail.ts'
import { encodePng } from '../media/write-image.ts'
import { isAllowed } from '../services/dataset.ts'
import { exportLedger } from '../services/ledger-export.ts'
import type { OpenProject } from '../services/open-project.ts'
import { sampleFile } from '../services/queue/train-runner.ts'

export interface Media {
  bytes: Uint8Array
  type: string
}

/**
 * The picture behind an address of `mediaUrl` (without its leading slash), of the project that is open; null when there is none. Addresses hold
 * ids, which are looked up: no path ever comes from outside.
 */
export async function resolveMedia(studio: Studio, path: string, query: URLSearchParams): Promise<Media | null> {
  const project = studio.current()
  const [media, kind, id = '', step, index] = path.split('/')
  if (!project || media !== 'media') return null

  if (kind === 'picture' && pictureId.safeParse(id).success) {
    const file = project.pictureFile(pictureId.parse(id))
    const width = Number(query.get('w') ?? 0)
    if (!file) return null
    if (width > 0) return thumbnail(file, width, project.folder.thumbnails, project.fs).catch(() => null)
    return readPng(file)
  }
  if (kind === 'sample' && runId.safeParse(id).success && /^\d{1,12}$/.test(step ?? '') && /^\d{1,4}$/.test(index ?? '')) {
    return readPng(sampleFile(project.runFolder(runId.parse(id)), Number(step), Number(index)))
  }
  if (kind === 'item' && itemId.safeParse(id).success) {
    // A page asks for hundreds of these at once: the index is only brought up to date for an item that it does not know.
    const place = () => project.crops.pixels(itemId.parse(id))
    const clip = () => project.items.clipPlace(itemId.parse(id))
    const item = place() ?? (clip() ? null : await project.index.fresh(place))
    const { folder, fs } = project
    const first = item ? null : await clipFrame(project, itemId.parse(id), 0)
    if (first) {
      const stored = { hash: first.pixelHash, edge: first.imageSize, read: () => first.rgb }
      return itemPicture(stored, Number(query.get('w')) || null, folder.thumbnails, fs)
    }
    const imageSize = await project.dataset.imageSize()
    if (!item || imageSize === null) return null
    const stored = { hash: item.pixelHash, edge: imageSize, read: () => readPixels(folder.dataset, item, imageSize) }
    return itemPicture(stored, Number(query.get('w')) || null, folder.thumbnails, fs)
  }
  if (kind === 'cropped' && itemId.safeParse(id).success) {
    const [kind = '', y, width, height] = (query.get('crop') ?? '').split(',')
    const numbers = { x: Number(kind), y: Number(y), width: Number(width), height: Number(height) }
    const part = crop.safeParse(y === undefined ? { kind } : { kind: 'rectangle', ...numbers })
    const tried = part.success ? await project.cropping.tryOn(itemId.parse(id), part.data).catch(() => null) : null // as if it were away
    return tried && { bytes: await encodePng(tried.rgb, tried.imageSize, tried.imageSize), type: 'image/png' }
  }
  if (kind === 'original' && itemId.safeParse(id).success) {
    const origin = await project.index.fresh(() => project.items.origin(itemId.parse(id)))
    const original =
      origin && (await readOriginal(origin, (file) => isAllowed(studio.context.allowedRoots, file), project.folder.originals))
    if (!original || 'away' in original) return null
    const show = query.get('full') === '1' ? showWholeOriginal : showOriginal
    return show(original.bytes).catch(() => null) // a decoder of another version may refuse it: as if it were away
  }
  if (kind === 'checked') {
    const picture = project.checked?.id === id && /^\d{1,3}$/.test(step ?? '') ? project.checked.pictures[Number(step)] : null
    return picture ? { bytes: picture, type: 'image/png' } : null
  }
  if (kind === 'ledger' && (id === 'csv' || id === 'json')) {
    const filter = ledgerFilter.safeParse(Object.fromEntries(query))
    return filter.success ? exportLedger(project, id, filter.data) : null
  }
  if (itemId.safeParse(id).success && /^[0-9a-f]{16}$/.test(step ?? '') && /^\d{0,3}$/.test(index ?? '')) {
    const frame = Number(query.get('frame') ?? 0)
    const part = { channel: Number(index ?? 0), frame: Number.isInteger(frame) && frame >= 0 ? frame : 0 }
    const bytes = await project.roundTrips.picture(kind ?? '', itemId.parse(id), step!, part)
    if (bytes) return { bytes, type: 'image/png' }
  }
  if (kind === 'clip' && itemId.safeParse(id).success && /^\d{1,6}$/.test(step ?? '')) {
    const frame = await clipFrame(project, itemId.parse(id), Number(step))
    return frame && { bytes: await encodePng(frame.rgb, frame.imageSize, frame.imageSize), type: 'image/png' }
  }
  if (kind === 'frame' && videoId.safeParse(id).success && /^\d{1,9}$/.test(step ?? '')) {
    return project.videos.look(videoId.parse(id), Number(step))
  }
  return null
}

/** A frame of a clip, exactly as a trainer gets it. */
async function clipFrame(project: OpenProject, id: ItemId, frame: number) {
  const find = () => project.items.clipPlace(id)
  const clip = find() ?? (await project.index.fresh(find))
  if (!clip || frame >= clip.frames) return null
  return { ...clip, rgb: await project.clips.record(clip, frame, clip.imageSize) }
}

async function readPng(file: string): Promise<Media | null> {
  const bytes = await readFile(file).catch(() => null)
  return bytes ? { bytes, type: 'image/png' } : null
}
