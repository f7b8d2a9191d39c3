/// <reference types="vite/client" />
import type { Port } from '#contracts/rpc.ts'

declare global {
  interface Window {
    /** What Electron's preload exposes; absent in a browser. */
    readonly studio?: { readonly port: Port; pathOf(file: File): string }
  }
}
