import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

/** The window, for both hosts: relative addresses, no inlined assets, nothing that needs eval. */
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [vue()],
  define: {
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
    __VUE_OPTIONS_API__: false,
  },
  build: { outDir: '../out/renderer', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
})
