import { Command, CommanderError, Option } from 'commander'
import { captionPlace } from '#contracts/captioning.ts'
import { ledgerReason, ledgerState, sourceLayout } from '#contracts/dataset.ts'
import { exportLayout, exportPlan } from '#contracts/export.ts'
import { engineVersion } from '#engine/version.ts'
import { autoencoderCommand } from './autoencoder.ts'
import { benchCpu, benchMemory } from './bench.ts'
import { benchData } from './bench-data.ts'
import { benchGpu } from './bench-gpu.ts'
import { captionCommand } from './caption.ts'
import { cacheCommand } from './cache.ts'
import { clipsCommand } from './clips.ts'
import { demo } from './demo.ts'
import { doctor } from './doctor.ts'
import { exportCommand } from './export.ts'
import { gpuInstall } from './gpu.ts'
import { importCommand } from './import.ts'
import { ledgerCommand } from './ledger.ts'
import { exitCodes, Output } from './output.ts'
import { parity } from './parity.ts'
import { sampleCommand } from './sample.ts'
import { trainCommand } from './train.ts'

const wholeNumber = (name: string, min: number) => (text: string) => {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min)
    throw new CommanderError(exitCodes.badRequest, 'zigma.number', `error: ${name} "${text}" must be a whole number of at least ${min}`)
  return value
}
const positive = (name: string) => (text: string) => {
  const value = Number(text)
  if (!(value > 0)) throw new CommanderError(exitCodes.badRequest, 'zigma.number', `error: ${name} "${text}" must be a number above 0`)
  return value
}

const program = new Command('zigma')
  .description('ZigMa Studio from a terminal: the same services as the window.')
  .version(engineVersion)
  .exitOverride()
  .addHelpText(
    'after',
    `\nExit codes: ${exitCodes.done} done · ${exitCodes.failed} failed · ${exitCodes.badRequest} the request cannot be done as it is · ${exitCodes.checkFailed} a check said no · ${exitCodes.cancelled} interrupted`,
  )

const json = () => new Option('--json', 'print one JSON document on stdout')
let exitCode: number = exitCodes.done

/** Runs a command and turns what it throws into one sentence and an exit code. */
const run =
  <A extends unknown[]>(command: (output: Output, ...args: A) => Promise<void>) =>
  async (...args: [...A, unknown]): Promise<void> => {
    const options =
      args.find((arg): arg is { json?: boolean } => typeof arg === 'object' && arg !== null && !(arg instanceof Command)) ?? {}
    const output = new Output(options.json === true)
    try {
      await command(output, ...(args as unknown as A))
    } catch (error) {
      exitCode = output.fail(error)
    }
  }

program
  .command('import')
  .description('bring pictures into a project')
  .argument('<source>', 'a folder, a zip or tar archive, a TOML file, a picture, or "sample"')
  .requiredOption('--project <dir>', 'the project; made there if it is not')
  .option('--size <pixels>', 'edge of the training pictures', wholeNumber('--size', 8))
  .option('--background <color>', 'behind transparent pictures', '#ffffff')
  .addOption(new Option('--layout <name>', 'how the files are read; recognized by default').choices(sourceLayout.options))
  .option('--copy', 'keep copies of the files in the project')
  .addOption(json())
  .action(run(importCommand))

program
  .command('ledger')
  .description('what became of every file that was imported')
  .requiredOption('--project <dir>', 'the project')
  .addOption(new Option('--state <name>', 'only these files').choices(ledgerState.options))
  .addOption(new Option('--reason <name>', 'only these files').choices(ledgerReason.options))
  .option('--text <text>', 'only files whose names hold this', '')
  .option('--csv <file>', 'write the lines as CSV')
  .addOption(json())
  .action(run(ledgerCommand))

program
  .command('clips')
  .description('cut the videos of a folder into clips of a project')
  .argument('<folder>', 'a folder with videos')
  .requiredOption('--project <dir>', 'the project; made there if it is not')
  .option('--size <pixels>', 'edge of the frames', wholeNumber('--size', 8))
  .option('--frames <n>', 'frames of a clip', wholeNumber('--frames', 1), 16)
  .option('--stride <n>', 'take every so many-th frame', wholeNumber('--stride', 1), 1)
  .option('--rate <n>', "frames a second before the stride; the video's own by default", positive('--rate'))
  .option('--cut <threshold>', 'start new clips where scenes change by so much, up to 1', positive('--cut'))
  .addOption(json())
  .action(run(clipsCommand))

program
  .command('export')
  .description("write the project's data set in the layout that another program reads")
  .requiredOption('--project <dir>', 'the project')
  .addOption(new Option('--layout <name>', 'who shall read it').choices(exportLayout.options).makeOptionMandatory())
  .requiredOption('--out <dir>', 'the folder to make; it must not be there yet, or be empty')
  .option('--query <text>', 'which pictures, in the query language; all that are in training by default')
  .option('--snapshot <name>', 'a snapshot that a run froze, instead')
  .addOption(
    new Option('--pixels <which>', "the trainer's own pixels as PNG, or the imported files")
      .choices(exportPlan.shape.pixels.unwrap().options)
      .default('training'),
  )
  .option('--together', 'one set, without folders for splits')
  .option('--tags', 'write tags behind the captions of text files')
  .option('--latents', "zigma: what the project's autoencoder makes of each picture, beside it")
  .addOption(json())
  .action(run(exportCommand))

program
  .command('caption')
  .description('describe pictures by their names, a model or a server of your own')
  .requiredOption('--project <dir>', 'the project')
  .addOption(new Option('--by <way>', 'what describes them').choices(['names', 'tagger', 'blip', 'server']).makeOptionMandatory())
  .option('--query <text>', 'which pictures; all by default', '')
  .option('--template <text>', 'names: of {name}, {folder}, {concept}')
  .option('--folder <dir>', 'tagger, blip: the folder with the model')
  .option('--threshold <share>', 'tagger: the least probability of general tags', positive('--threshold'))
  .option('--address <url>', 'server: such as http://127.0.0.1:1234')
  .option('--model <name>', 'server: the name of its model')
  .option('--prompt <text>', 'server: what to ask')
  .option('--concurrency <n>', 'server: requests at once, 1 to 4', wholeNumber('--concurrency', 1))
  .option('--confirm-host <host>', 'server: pictures may leave this machine to this host')
  .addOption(new Option('--place <place>', 'where captions go').choices(captionPlace.options).default('fill'))
  .addOption(new Option('--tags <how>', 'what becomes of tags').choices(['add', 'replace', 'none']).default('add'))
  .option('--over-handwritten', 'replace also what people wrote')
  .option('--preview <n>', 'describe so many pictures and change nothing', wholeNumber('--preview', 1))
  .addOption(json())
  .action(run(captionCommand))

program
  .command('train')
  .description("train a model on the project's data set")
  .requiredOption('--project <dir>', 'the project')
  .option('--preset <name>', 'a preset by name')
  .option('--recipe <file>', 'a recipe as JSON')
  .option('--steps <n>', "steps, instead of the recipe's", wholeNumber('--steps', 1))
  .option('--seed <n>', "seed, instead of the recipe's", wholeNumber('--seed', 0))
  .option('--latents', "train in the space of the project's autoencoder")
  .option('--name <name>', 'name of the run')
  .option('--resume <run>', 'go on with a run, by its id')
  .addOption(json())
  .action(run(trainCommand))

program
  .command('autoencoder')
  .description('choose the autoencoder in whose space models of a project may work, or say which it is')
  .argument('[folder]', 'a folder with encoder.onnx and decoder.onnx, as exporters write it')
  .requiredOption('--project <dir>', 'the project; made there if it is not')
  .option('--remove', 'choose none')
  .addOption(json())
  .action(run(autoencoderCommand))

program
  .command('cache')
  .description('what is kept of encoded pictures')
  .requiredOption('--project <dir>', 'the project')
  .option('--clean', 'delete what nothing asks for any more')
  .addOption(json())
  .action(run(cacheCommand))

program
  .command('sample')
  .description('draw pictures with a trained model')
  .requiredOption('--project <dir>', 'the project')
  .option('--prompt <text>', 'what to draw', '')
  .option('--negative <text>', 'what to stay away from', '')
  .option('--count <n>', 'number of pictures', wholeNumber('--count', 1), 4)
  .option('--seed <n>', 'seed of the first picture', wholeNumber('--seed', 0), 0)
  .option('--steps <n>', 'steps of the sampler', wholeNumber('--steps', 1), 25)
  .addOption(new Option('--sampler <name>', 'integrator').choices(['euler', 'heun']).default('euler'))
  .option('--cfg <scale>', 'guidance; 1 is none', positive('--cfg'), 3)
  .option('--run <id>', 'which run; the newest by default')
  .option('--out <dir>', 'copy the pictures here as well')
  .addOption(json())
  .action(run(sampleCommand))

program
  .command('demo')
  .description('the whole road: import the sample set, train for some minutes, draw what was held out')
  .requiredOption('--out <dir>', 'folder for the project, loss.jsonl, loss.svg and grid.png')
  .option('--minutes <m>', 'minutes of training', positive('--minutes'), 10)
  .option('--preset <name>', 'a preset for pixels and captions: tiny, small or fine', 'tiny')
  .option('--size <pixels>', "edge of the pictures; the preset's by default", wholeNumber('--size', 8))
  .addOption(json())
  .action(run(demo))

program
  .command('parity')
  .description('compare the engine with reference vectors')
  .argument('<dir>', 'folder of reference files')
  .option('--skip <words>', 'comma-separated words; files whose names hold one are left out')
  .addOption(new Option('--device <device>', 'where to compute').choices(['cpu', 'cuda']).default('cpu'))
  .addOption(json())
  .action(run(parity))

const bench = program.command('bench').description('measure')
bench.command('cpu').description('the engine on this processor, as ratios to its floors').addOption(json()).action(run(benchCpu))
bench
  .command('memory')
  .description('training steps: the memory they were foretold to take, and took')
  .addOption(json())
  .action(run(benchMemory))
bench
  .command('gpu')
  .description('whole steps of the official configurations on the GPU, beside their floors')
  .option('--only <regex>', 'only configurations whose names this regular expression finds')
  .option('--kernels', 'time the operations of two configurations, or of those that --only finds, one by one')
  .addOption(json())
  .action(run(benchGpu))
bench
  .command('data')
  .description('how fast sources become training data, as ratios to programs that do no more')
  .option('--rounds <n>', 'rounds that the medians are of', wholeNumber('--rounds', 1), 5)
  .option('--items <n>', 'pictures of the largest import whose memory is measured', wholeNumber('--items', 100), 100_000)
  .addOption(json())
  .action(run(benchData))
program
  .command('gpu')
  .description('NVIDIA graphics cards')
  .command('install')
  .description("fetch ONNX Runtime's CUDA provider from the npm registry (179 MB, MIT), and say what else is missing")
  .addOption(json())
  .action(run(gpuInstall))
program.command('doctor').description('what the studio needs, what it found, and what to do').addOption(json()).action(run(doctor))

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.badRequest
  if (error.code === 'zigma.number') process.stderr.write(`${error.message}\n`)
}
process.exitCode = exitCode
