import { join } from 'node:path'
import { startElectron } from './start.ts'

void startElectron(join(import.meta.dirname, '..'))
