import type { Area } from '#contracts/xray.ts'

/**
 * The part of a picture of `width` x `height` pixels that its square training picture shows, in pixels of the upright original. The decoder
 * scales the short side to `imageSize`, rounds the long one to whole pixels and keeps the middle of it; where one pixel is left over it goes
 * to the far side.
 */
export function trainingCrop({ width, height }: { width: number; height: number }, imageSize: number): Area {
  const scale = imageSize / Math.min(width, height)
  const along = (length: number) => {
    const scaled = Math.round(length * scale)
    const pixel = length / scaled
    return { from: Math.floor((scaled - imageSize + 1) / 2) * pixel, length: imageSize * pixel }
  }
  const [horizontal, vertical] = [along(width), along(height)]
  return { x: horizontal.from, y: vertical.from, width: horizontal.length, height: vertical.length }
}
