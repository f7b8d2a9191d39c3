import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { findAutoencoder } from '#main/media/autoencoder-folder.ts'
import { AutoencoderShelf, readAutoencoder } from '#main/store/autoencoder-shelf.ts'
import { SafeFs } from '#main/store/safe-fs.ts'
import { temporaryFolder } from '#tests/support/temporary-folder.ts'

/** A folder with files of these contents. */
function folderOf(files: Record<string, string>): string {
  const folder = temporaryFolder()
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}
const find = (folder: string) => findAutoencoder(folder, (path) => path.startsWith(folder))
const pair = { 'encoder.onnx': 'e', 'decoder.onnx': 'd' }

test.each([
  ['encoder.onnx', 'decoder.onnx'],
  ['vae_encoder/model.onnx', 'vae_decoder/model.onnx'],
  ['vae_encoder.onnx', 'vae_decoder.onnx'],
  ['onnx/vae_encoder.onnx', 'onnx/vae_decoder.onnx'],
])('an autoencoder is found as %s and %s', async (encoder, decoder) => {
  const folder = folderOf({ [encoder]: 'e', [decoder]: 'd' })
  expect(await find(folder)).toEqual({
    encoder: join(folder, encoder),
    decoder: join(folder, decoder),
    settings: { scalingFactor: 1, shiftFactor: 0, latentChannels: null, factor: null },
  })
})

test("the configuration of diffusers tells scale, shift, channels and factor; Stable Diffusion's early ones leave out its 0.18215", async () => {
  const config = { scaling_factor: 0.3611, shift_factor: 0.1159, latent_channels: 16, block_out_channels: [128, 256, 512, 512], other: [] }
  const flux = folderOf({ ...pair, 'config.json': JSON.stringify({ _class_name: 'AutoencoderKL', ...config }) })
  expect((await find(flux)).settings).toEqual({ scalingFactor: 0.3611, shiftFactor: 0.1159, latentChannels: 16, factor: 8 })
  const early = folderOf({ ...pair, 'config.json': JSON.stringify({ _class_name: 'AutoencoderKL' }) })
  expect((await find(early)).settings.scalingFactor).toBe(0.18215)
})

test('what is missing, too large, no file, a link to elsewhere or a broken configuration is told in a sentence', async () => {
  await expect(find(folderOf({ 'encoder.onnx': 'e' }))).rejects.toThrow(
    /^There is no autoencoder in .+: it holds neither encoder\.onnx and decoder\.onnx nor vae_encoder/,
  )
  const large = folderOf(pair)
  truncateSync(join(large, 'decoder.onnx'), 1024 ** 3 + 1) // sparse: takes no room
  await expect(find(large)).rejects.toMatchObject({
    code: 'unsafe-file',
    message: expect.stringContaining('has 1073741825 bytes') as string,
  })
  const pipe = folderOf({ 'decoder.onnx': 'd' })
  execFileSync('mkfifo', [join(pipe, 'encoder.onnx')])
  await expect(find(pipe)).rejects.toThrow('"encoder.onnx" is not a file.')
  const link = folderOf({ 'decoder.onnx': 'd' })
  symlinkSync('/etc/hostname', join(link, 'encoder.onnx'))
  await expect(find(link)).rejects.toThrow(/^"encoder\.onnx" is a link to .+, where the studio may not read\./)
  const inside = folderOf({ 'decoder.onnx': 'd', 'blobs/1': 'e' })
  symlinkSync('blobs/1', join(inside, 'encoder.onnx'))
  expect((await find(inside)).encoder).toBe(join(inside, 'blobs', '1'))
  for (const broken of ['not JSON', '{"scaling_factor":-1}', '{"latent_channels":1000}'])
    await expect(find(folderOf({ ...pair, 'config.json': broken }))).rejects.toMatchObject({ code: 'corrupt-file' })
})

test('a copy in the project is checked when it is read, is the same for the same files, and nothing stays of one that does not work', async () => {
  const signal = new AbortController().signal
  const folder = temporaryFolder()
  const shelf = new AutoencoderShelf(folder, new SafeFs())
  const facts = { channels: 4, factor: 8, dtype: 'f32' as const, imageSize: null, scalingFactor: 1, shiftFactor: 0 }
  const source = await find(folderOf(pair))
  const add = (name: string) => shelf.add(source, name, signal, () => Promise.resolve(facts))
  const [first, second] = await Promise.all([add('first'), add('second')])
  expect(second).toEqual(first) // the same files: it is there already
  await expect(shelf.add(await find(folderOf({ ...pair, 'encoder.onnx': 'other' })), 'bad', signal, () => Promise.reject(new Error('does not work')))).rejects.toThrow('does not work') // prettier-ignore
  expect((await shelf.list()).map(({ name }) => name)).toEqual(['first'])

  const kept = shelf.folderOf(first.hash)
  expect(new TextDecoder().decode((await readAutoencoder(kept)).encoder)).toBe('e')
  writeFileSync(join(kept, 'encoder.onnx'), 'x')
  await expect(readAutoencoder(kept)).rejects.toThrow("The autoencoder's encoder.onnx is damaged.")
  renameSync(join(kept, 'encoder.onnx'), join(kept, 'gone'))
  await expect(readAutoencoder(kept)).rejects.toMatchObject({ code: 'not-found' })
  expect(await add('again')).toMatchObject({ name: 'again', hash: first.hash })
  expect(new TextDecoder().decode((await readAutoencoder(kept)).encoder)).toBe('e')
})
