import { FileCheckpoints } from '#main/store/checkpoint-store.ts'
import { SafeFs } from '#main/store/safe-fs.ts'

/* Writes checkpoints of 2 MB until it is killed; tells each step that was acknowledged. */
const store = new FileCheckpoints(process.argv[2]!, new SafeFs())
process.send?.(0)
for (let step = Number(process.argv[3]) + 1; ; step++) {
  await store.write(step, new Map([['weights.safetensors', new Uint8Array(2_000_000).fill(step)]]), 2)
  process.send?.(step)
}
