import { FeatureCache } from '#main/store/feature-cache.ts'
import { SafeFs, sha256 } from '#main/store/safe-fs.ts'

/* Writes entry after entry from argv[3] on into the cache in argv[2], telling each that is on the disk. */
const [root, first] = process.argv.slice(2) as [string, string]
const cache = await FeatureCache.open(root, { kind: 'latents', encoder: 'e', dtype: 'f32', shape: [1, 2, 2] }, new SafeFs())
for (let n = Number(first); ; n++) {
  await cache.write(String(n), new Uint8Array(Buffer.from(sha256(String(n)), 'hex').subarray(0, 16)))
  if (n % 3 > 0) continue
  await cache.flush()
  process.send?.(n)
}
