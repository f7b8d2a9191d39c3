import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Gives back what nothing holds any more, on devices too: what is measured next does not shrink by it. */
export const collectGarbage = runInNewContext('gc') as () => void
