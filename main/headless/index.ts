import { parseArgs } from 'node:util'
import { StudioError } from '#contracts/errors.ts'
import { compose } from '../compose.ts'
import { startHeadless } from './server.ts'

const usage = 'node main/headless/index.ts [--port N] [--project DIR] [--projects DIR] [--allow DIR]... [--no-open] [--headless]'

try {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      project: { type: 'string' },
      projects: { type: 'string' },
      allow: { type: 'string', multiple: true },
      'no-open': { type: 'boolean' },
      headless: { type: 'boolean' },
    },
  })
  const port = Number(values.port ?? 0)
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new StudioError('invalid-request', `--port ${values.port} is not a port. Choose 1 to 65535, or leave it out for a free one.`)
  const studio = await compose({
    host: 'headless',
    allowedRoots: values.allow ?? [],
    ...(values.projects ? { projectsFolder: values.projects } : {}),
  })
  if (values.project) await studio.openFolder(values.project, { create: true })
  const host = await startHeadless(studio, { port })
  process.stdout.write(`ZigMa Studio is at ${host.url}\n`)

  let closing = false
  const close = async () => {
    if (closing) process.exit(1)
    closing = true
    await host.close()
    await studio.close()
    process.exit(0)
  }
  process.on('SIGINT', () => void close())
  process.on('SIGTERM', () => void close())
} catch (error) {
  const wrongOption = error instanceof TypeError && 'code' in error
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${wrongOption ? `Usage: ${usage}\n` : ''}`)
  process.exit(error instanceof StudioError || wrongOption ? 2 : 1)
}
