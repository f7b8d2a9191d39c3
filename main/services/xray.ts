import { StudioError } from '#contracts/errors.ts'
import type { Recipe } from '#contracts/recipe.ts'
import { mediaUrl, type StudioServices } from '#contracts/studio.ts'
import type { ModelChoice, ScanOrder } from '#contracts/xray.ts'
import { presets } from '#engine/presets.ts'
// Plain arithmetic that the engine publishes as it does its presets and forecasts: no process has to start for it, and because the network
// gathers its tokens by the same function, what is drawn is what happens.
import { tokenMapOf, type TokenMap } from '#engine/token-map.ts'
import { readOriginal } from '../media/original-picture.ts'
import { trainingCrop } from '../media/training-crop.ts'
import type { StudioContext } from './context.ts'
import { isAllowed } from './dataset.ts'

const versionLength = 16

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
    'xray.describe': async ({ id, model: choice }) => {
      const { dataset, index, items, folder } = context.project()
      const { name, recipe } = recipeOf(choice)
      const imageSize = await dataset.imageSize()
      const [item, place, origin] = await index.fresh(() => [items.get(id), items.place(id), items.origin(id)] as const)
      if (!item || !place || !origin || imageSize === null)
        throw new StudioError('not-found', `There is no picture "${id}" in the data set.`)
      const original = await readOriginal(origin, (path) => isAllowed(context.allowedRoots, path), folder.originals)
      const away = 'away' in original ? original.away : null
      const { width, height, channels, patchSize } = recipe.model
      const { rows, columns, orders, layers } = tokenMapOf(recipe.model)
      return {
        item: { id, source: item.source, caption: item.caption, split: item.split },
        original: { width: item.width, height: item.height, pictureUrl: away ? null : mediaUrl.original(id), away },
        crop: trainingCrop(item, imageSize),
        training: {
          width: imageSize,
          height: imageSize,
          pictureUrl: mediaUrl.item(id, { version: place.pixelHash.slice(0, versionLength) }),
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
        orders: orders.map(toWire),
        layers,
      }
    },
  }
}

function toWire({ kind, number, permutation }: TokenMap['orders'][number]): ScanOrder {
  const bytes = Buffer.alloc(permutation.length * 4)
  permutation.forEach((token, position) => bytes.writeInt32LE(token, position * 4))
  return { kind, number, permutation: bytes.toString('base64') }
}
