/** Written into every checkpoint: which engine made it. */
export const engineVersion = '0.1.0'
