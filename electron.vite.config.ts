import { defineConfig } from 'electron-vite'
import { join } from 'node:path'
import renderer from './renderer/vite.config.ts'

const at = (path: string) => join(import.meta.dirname, path)

export default defineConfig({
  main: {
    build: {
      outDir: 'out/main',
      rolldownOptions: {
        input: {
          index: at('main/electron/index.ts'),
          engine: at('main/engine-process/entry.ts'),
          'parquet-worker': at('main/media/sources/parquet-worker.ts'),
        },
        output: { format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: '[name]-[hash].cjs' },
      },
    },
  },
  preload: {
    build: {
      outDir: 'out/preload',
      rolldownOptions: {
        input: { index: at('preload/index.ts') },
        output: { format: 'cjs', entryFileNames: '[name].cjs' }, // a sandboxed preload cannot be a module
      },
    },
  },
  // Folders are named here again: electron-vite bundles this file, and the renderer's own `import.meta.dirname` becomes this folder.
  renderer: {
    ...renderer,
    root: at('renderer'),
    build: { ...renderer.build, outDir: at('out/renderer'), rolldownOptions: { input: at('renderer/index.html') } },
  },
})
