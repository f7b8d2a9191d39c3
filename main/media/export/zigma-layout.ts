import type { ExportLatents } from './export-latents.ts'
import type { Layout, LayoutOptions } from './layout.ts'

/** The tars of ZigMa's own code: "train-000000.tar" with key.image.png, key.caption.json (a list of captions) and, where asked for, latents. */
export function zigmaLayout({ splits, latents: all }: LayoutOptions): Layout {
  return {
    endings: new Set(['png']), // the code names one key for the pictures of all samples
    tar: (split, number) => `${splits === 'folders' ? split : 'train'}-${String(number).padStart(6, '0')}.tar`,
    files: ({ id, caption, captions }, { bytes, latents }) => [
      { name: `${id}.image.png`, bytes },
      { name: `${id}.caption.json`, bytes: JSON.stringify([caption, ...captions]) },
      ...(latents ? [{ ...latents, name: `${id}.${latents.name}` }] : []),
    ],
    video: null,
    line: () => null,
    extras: () => [],
    usage: [
      `Tars under the keys of ZigMa's own code: \`image.png\` and \`caption.json\`, a list of captions. ${all ? withLatents(all) : withoutLatents} It draws one place of the captions for a whole batch, so give every picture equally many.`,
    ],
  }
}

const withoutLatents =
  'What needs an autoencoder or a text encoder is not in them: `img_feature256.npy`, `caption_feature.npy`, `latent.npy`. Make these with the scripts of that code before training on latents.'

function withLatents({ name, shape, autoencoder }: ExportLatents): string {
  const { scalingFactor, shiftFactor } = autoencoder
  return `\`${name}\` is what the autoencoder "${autoencoder.name}" gives for the picture, float32 [${shape.join(', ')}] and not scaled: the studio trains on (latent - ${shiftFactor}) * ${scalingFactor}, that code on latent * 0.18215. What needs a text encoder is not in them: make \`caption_feature.npy\` with the scripts of that code.`
}
