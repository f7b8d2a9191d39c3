import type { ClipFacts } from '#contracts/dataset.ts'
import { StudioError } from '#contracts/errors.ts'
import type { ItemId } from '#contracts/project.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { mediaUrl, type StudioServices } from '#contracts/studio.ts'
import type { ModelChoice, OriginalAway, ScanOrder, TimeScan, Xray } from '#contracts/xray.ts'
import { presets } from '#engine/presets.ts'
// Plain arithmetic that the engine publishes as it does its presets and forecasts: no process has to start for it, and because the network
// gathers its tokens by the same function, what is drawn is what happens.
import { clipTokenMapOf, tokenMapOf } from '#engine/token-map.ts'
import { readOriginal } from '../media/original-picture.ts'
import { trainingCrop } from '../media/training-crop.ts'
import { versionLength } from '../store/item-rows.ts'
import type { StudioContext } from './context.ts'
import { isAllowed } from './dataset.ts'

const tokenLimit = 65_536

export function xrayServices(context: StudioContext): Pick<StudioServices, 'xray.describe'> {
  const recipeOf = (model: ModelChoice): { name: string; recipe: Recipe } => {
    if (model.kind === 'run') return context.project().run(model.runId)
    const preset = presets.find(({ name }) => name === model.name)
    if (!preset) {
      throw new StudioError('not-found', `There is no preset "${model.name}". Choose one of ${presets.map(({ name }) => name).join(', ')}.`)
    }
    return preset
  }

  return {
    'xray.describe': async ({ id, model: choice, time = 'sst' }) => {
      const { dataset, index, items, crops, folder } = context.project()
      const { name, recipe } = recipeOf(choice)
      const [item, place, clip, origin] = await index.fresh(
        () => [items.get(id), crops.pixels(id), items.clipPlace(id), items.origin(id)] as const,
      )
      const imageSize = clip?.imageSize ?? (await dataset.imageSize())
      const stored = place ?? clip
      if (!item || !stored || !origin || imageSize === null)
        throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
      const away = clip ? 'video' : awayOf(await readOriginal(origin, (path) => isAllowed(context.allowedRoots, path), folder.originals))
      const { width, height, channels, patchSize } = recipe.model
      const { rows, columns, ...plan } = tokenMapOf(recipe.model)
      return {
        item: { id, source: item.source, caption: item.caption, split: item.split },
        original: { width: item.width, height: item.height, pictureUrl: away ? null : mediaUrl.original(id), away },
        crop: place?.area ?? trainingCrop(item, imageSize),
        training: {
          width: imageSize,
          height: imageSize,
          pictureUrl: mediaUrl.item(id, { version: stored.pixelHash.slice(0, versionLength) }),
        },
        model: {
          name,
          space: recipe.autoencoder || channels !== 3 ? 'latents' : 'pixels',
          width,
          height,
          channels,
          patchSize,
          flips: recipe.flip,
        },
        grid: { rows, columns },
        clip: item.clip && { facts: item.clip, time, frames: framesOf(id, item.clip) },
        ...(item.clip ? clipOrders(recipe, item.clip.frames, time) : { orders: plan.orders.map(toWire), layers: plan.layers }),
      }
    },
  }
}

function awayOf(original: Awaited<ReturnType<typeof readOriginal>>): OriginalAway | null {
  return 'away' in original ? original.away : null
}

function framesOf(id: ItemId, { frames, frameRate, startSeconds }: ClipFacts) {
  return Array.from({ length: frames }, (_, i) => ({ pictureUrl: mediaUrl.clip(id, i), seconds: startSeconds + i / frameRate }))
}

/** @throws StudioError invalid-request for a 3D order of more tokens than a page is sent. */
function clipOrders({ model }: Recipe, frames: number, time: TimeScan): Pick<Xray, 'orders' | 'layers'> {
  const tokens = (frames * model.height * model.width) / model.patchSize ** 2
  if (time.endsWith('3d') && tokens > tokenLimit)
    throw new StudioError(
      'invalid-request',
      `${frames} frames are ${tokens.toLocaleString('en')} tokens for this model, and orders over more than ${tokenLimit.toLocaleString('en')} are not shown. Choose layers for space and time, or a shorter clip.`,
    )
  const { orders, layers } = clipTokenMapOf(model, frames, time)
  const kindOf = { frame: model.scan.kind, time: 'time', clip: time === 'sweep-3d' ? 'sweep-3d' : 'zigzag-3d' } as const
  return { orders: orders.map((order) => ({ ...toWire({ ...order, kind: kindOf[order.span] }), span: order.span })), layers }
}

function toWire({ kind, number, permutation }: Pick<ScanOrder, 'kind' | 'number'> & { permutation: Int32Array }): ScanOrder {
  const bytes = Buffer.alloc(permutation.length * 4)
  permutation.forEach((token, position) => bytes.writeInt32LE(token, position * 4))
  return { kind, span: 'frame', number, permutation: bytes.toString('base64') }
}
