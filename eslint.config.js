import js from '@eslint/js'
import prettier from 'eslint-config-prettier'
import { defineConfig } from 'eslint/config'
import vue from 'eslint-plugin-vue'
import ts from 'typescript-eslint'

// --- what each room may import -------------------------------------------------------------------------------------------------

const names = ['contracts', 'engine', 'native-ops', 'main', 'preload', 'renderer', 'scripts', 'tests']
const throughImports = { regex: `^(\\.\\./)+(${names.join('|')})/`, message: 'Import another room by its name: #contracts/…, #engine/….' }
const safeFiles = {
  names: ['node:fs', 'node:fs/promises'],
  importNames: [
    'default',
    'promises',
    'writeFile',
    'writeFileSync',
    'appendFile',
    'appendFileSync',
    'createWriteStream',
    'write',
    'writeSync',
    'writev',
    'writevSync',
  ],
  message: 'A write may be short or torn. Write through main/store/safe-fs.ts.',
}

/** Imports of `files` must match one of `allowed`. Later rooms override earlier ones, so a folder may differ from its parent. */
const room = (files, allowed, message, { writesFiles = false } = {}) => ({
  files,
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [throughImports, { regex: `^(?!${allowed.join('|')})`, message }],
        paths: writesFiles ? [] : safeFiles.names.map((name) => ({ name, importNames: safeFiles.importNames, message: safeFiles.message })),
      },
    ],
  },
})

const relative = '\\.{1,2}/'
// Packages and node:*, none of the rooms but what the engine asks for and publishes as plain facts, neither Electron nor Vue.
const outside = '#engine/(ports|presets|forecast|token-map|version)\\.ts$|(?!#|electron$|electron/|vue|pinia|\\.)'
const rooms = [
  room(['contracts/**'], ['\\./', 'zod$'], 'contracts imports zod and nothing else.'),
  room(['engine/**'], [relative, '#contracts/'], 'engine imports contracts only; data comes through ports, native ops in runtime/ only.'),
  room(['engine/scan/**'], ['\\./'], 'engine/scan imports nothing.'),
  room(['engine/runtime/**'], [relative, '#contracts/', '#native-ops/'], 'engine/runtime imports contracts and native-ops only.'),
  room(['native-ops/**'], [relative, 'node:'], 'native-ops imports no other room.', { writesFiles: true }),
  room(
    ['main/**'],
    [relative, '#contracts/', outside],
    'main imports contracts and packages; the engine in engine-process, electron in main/electron.',
  ),
  room(['main/store/safe-fs*.ts'], [relative, '#contracts/', outside], 'main/store imports contracts and packages.', { writesFiles: true }),
  room(
    ['main/cli/**'],
    [
      relative,
      '#contracts/',
      '#engine/(parity|median|bench|bench-(gpu|cases|ceilings|kernels|memory)|self-test)\\.ts$',
      '#native-ops/load\\.ts$',
      outside,
    ],
    'the command line may check and measure the engine in its own process; all else goes through the services.',
  ),
  room(
    ['main/engine-process/**'],
    [relative, '#contracts/', '#engine/', '#native-ops/', outside],
    'engine-process imports contracts, engine and packages.',
  ),
  room(
    ['main/electron/**', 'main/transport/electron-port.ts'],
    [relative, '#contracts/', 'electron$', outside],
    'main/electron holds no engine.',
  ),
  room(['preload/**'], [relative, '#contracts/', 'electron$'], 'preload imports electron and the types of contracts.'),
  room(
    ['renderer/**'],
    [relative, '#contracts/', '(?!#|node:|electron|\\.)'],
    'renderer imports contracts only: no Node, Electron, engine or main.',
  ),
]

const safeWrites = {
  files: ['main/**', 'engine/**', 'preload/**'],
  ignores: ['main/store/safe-fs*.ts'],
  rules: {
    'no-restricted-syntax': [
      'error',
      {
        selector: "CallExpression[callee.property.name='toFile']", // sharp's own way to write
        message: safeFiles.message,
      },
    ],
  },
}

// -------------------------------------------------------------------------------------------------------------------------------

export default defineConfig(
  { ignores: ['node_modules/', 'build/', 'out/', '.cache/', 'coverage/'] },
  js.configs.recommended,
  ...ts.configs.recommendedTypeChecked,
  ...vue.configs['flat/recommended'],
  {
    files: ['**/*.ts', '**/*.vue'],
    languageOptions: {
      parserOptions: { parser: ts.parser, projectService: true, extraFileExtensions: ['.vue'], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      'no-undef': 'off', // the compiler knows better
      'no-console': 'off',
      'no-restricted-exports': ['error', { restrictDefaultExports: { direct: true, named: true, defaultFrom: true } }],
      eqeqeq: 'error',
      '@typescript-eslint/require-await': 'off', // async turns what a method throws into a rejection, as its callers expect
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true, allowRethrowing: true }],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false, attributes: false } }],
    },
  },
  { files: ['**/*.vue'], rules: { 'no-restricted-exports': 'off', 'vue/no-v-html': 'error', 'vue/multi-word-component-names': 'off' } },
  { files: ['**/*.config.ts', '*.config.js', '**/*.mjs', '**/*.cjs'], ...ts.configs.disableTypeChecked },
  {
    files: ['**/*.config.ts', '*.config.js'],
    languageOptions: { parserOptions: { projectService: false } },
    rules: { 'no-restricted-exports': 'off' },
  },
  { files: ['**/*.mjs', '*.config.js'], languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } } },
  ...rooms,
  safeWrites,
  prettier,
)
