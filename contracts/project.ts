import { z } from 'zod'

/** Opaque ids: lower-case letters, digits and dashes, never a path. */
const id = <Brand extends string>(brand: Brand) =>
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, `must be a ${brand} of lower-case letters, digits and dashes`)
    .brand<Brand>()

export const projectId = id('project-id')
export type ProjectId = z.infer<typeof projectId>
export const itemId = id('item-id')
export type ItemId = z.infer<typeof itemId>
export const runId = id('run-id')
export type RunId = z.infer<typeof runId>
export const jobId = id('job-id')
export type JobId = z.infer<typeof jobId>
export const pictureId = id('picture-id')
export type PictureId = z.infer<typeof pictureId>

/** A name that people read; it never becomes a path as it is. */
export const displayName = z.string().trim().min(1, 'must not be empty').max(120, 'must be at most 120 characters')

export const projectSummary = z.object({
  id: projectId,
  name: displayName,
  /** Where the project lies on this machine, to show and to copy; never sent back as an argument. */
  folder: z.string(),
  createdAt: z.iso.datetime(),
  openedAt: z.iso.datetime(),
  /** False while its folder cannot be reached (a drive that is away). */
  reachable: z.boolean(),
  open: z.boolean(),
  trashed: z.boolean(),
})
export type ProjectSummary = z.infer<typeof projectSummary>
