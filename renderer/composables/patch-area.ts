import type { Area, Xray } from '#contracts/xray.ts'

type Cut = Pick<Xray, 'grid' | 'crop' | 'training'>

/** What a patch covers in the training picture. */
export function patchInTraining(token: number, { grid, training }: Pick<Cut, 'grid' | 'training'>): Area {
  return cell(token, grid, { x: 0, y: 0, width: training.width, height: training.height })
}

/** What a patch covers in the original. */
export function patchInOriginal(token: number, { grid, crop }: Pick<Cut, 'grid' | 'crop'>): Area {
  return cell(token, grid, crop)
}

/** First and last whole pixel that an area touches along one side. */
export function pixelRange(from: number, length: number): { first: number; last: number } {
  const rounding = 1e-6
  return { first: Math.floor(from + rounding), last: Math.ceil(from + length - rounding) - 1 }
}

/** Share of the original that lies outside the crop, 0 to 1. */
export function shareLeftOut({ crop, original }: Pick<Xray, 'crop' | 'original'>): number {
  return 1 - (crop.width * crop.height) / (original.width * original.height)
}

function cell(token: number, { rows, columns }: Cut['grid'], area: Area): Area {
  const [width, height] = [area.width / columns, area.height / rows]
  return { x: area.x + (token % columns) * width, y: area.y + Math.floor(token / columns) * height, width, height }
}
