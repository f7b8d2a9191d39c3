import type { Layout, LayoutOptions } from './layout.ts'

/** The tars of ZigMa's own code: "train-000000.tar" with key.image.png and key.caption.json, a list of captions. */
export function zigmaLayout({ splits }: LayoutOptions): Layout {
  return {
    endings: new Set(['png']), // the code names one key for the pictures of all samples
    tar: (split, number) => `${splits === 'folders' ? split : 'train'}-${String(number).padStart(6, '0')}.tar`,
    files: ({ id, caption, captions }, { bytes }) => [
      { name: `${id}.image.png`, bytes },
      { name: `${id}.caption.json`, bytes: JSON.stringify([caption, ...captions]) },
    ],
    line: () => null,
    extras: () => [],
    usage: [
      "Tars under the keys of ZigMa's own code: `image.png` and `caption.json`, a list of captions. What needs an autoencoder or a text encoder is not in them: `img_feature256.npy`, `caption_feature.npy`, `latent.npy`. Make these with the scripts of that code before training on latents. It draws one place of the captions for a whole batch, so give every picture equally many.",
    ],
  }
}
