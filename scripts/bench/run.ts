/**
 * The bench: the bare pipeline and Skein in one run, alternating, medians of several rounds. Prints a table and, with
 * --json FILE, writes the figures. `npm run bench` or `node dist/scripts/bench/run.js --records 100000 --rounds 3`.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { runBare, runLevelAlone } from './bare.js';
import {
  copy,
  idle,
  ingestEmbedded,
  ingestOperations,
  latency,
  startUp,
  type Rate,
} from './skein.js';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const records = Number(values.records);
const rounds = Number(values.rounds);
const only = values.only.split(';').filter(Boolean);

interface Figure {
  readonly name: string;
  readonly recordsPerSecond: number;
  readonly cpuMicrosecondsPerRecord: number | null;
  /** Against the yardstick of the same run; null for the yardsticks. */
  readonly ratio: number | null;
  readonly against: string;
}

const median = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[list.length >> 1] ?? NaN;

const wanted = (name: string): boolean =>
  only.length === 0 || only.some((part) => name.includes(part));

type Measure = () => Promise<Rate>;

/** All of them in turn, round by round: what disturbs the machine disturbs all alike. */
const measureAll = async (measures: readonly (readonly [string, Measure])[]) => {
  const rates = new Map<string, Rate[]>();
  for (let round = 0; round < rounds; round++)
    for (const [name, measure] of measures) {
      if (!wanted(name)) continue;
      const rate = await measure();
      rates.set(name, [...(rates.get(name) ?? []), rate]);
      process.stderr.write(`${name}: ${Math.round(rate.recordsPerSecond)} records/s\n`);
    }
  return rates;
};

const figures = async (writeAsync: boolean): Promise<Figure[]> => {
  const mode = writeAsync ? 'writeAsync' : 'fsync';
  const sync = !writeAsync;
  const bare = `bare pipeline, ${mode}`;
  const ready = `bare pipeline, ready-made bytes, ${mode}`;
  const rates = await measureAll([
    [`level alone, two writers, ${mode}`, () => runLevelAlone({ records, sync })],
    [ready, () => runBare({ records, sync, readyMade: true })],
    [bare, () => runBare({ records, sync, readyMade: false })],
    [
      `embed API, declared table, ${mode}`,
      () => ingestEmbedded({ records, writeAsync, table: 'declared' }),
    ],
    [
      `embed API, dynamic table, ${mode}`,
      () => ingestEmbedded({ records, writeAsync, table: 'dynamic' }),
    ],
    [
      `operations API, declared table, ${mode}`,
      () => ingestOperations({ records, writeAsync, table: 'declared' }),
    ],
    [
      `operations API, dynamic table, ${mode}`,
      () => ingestOperations({ records, writeAsync, table: 'dynamic' }),
    ],
    [`initial copy, ${mode}`, () => copy({ records, writeAsync })],
  ]);
  const rateOf = (name: string): number =>
    median((rates.get(name) ?? []).map((rate) => rate.recordsPerSecond));
  return [...rates].map(([name, list]) => {
    const against = name.startsWith('initial copy') ? ready : name.includes('API') ? bare : '';
    const cpu = list
      .map((rate) => rate.cpuMicrosecondsPerRecord)
      .filter((one) => one !== undefined);
    return {
      name,
      recordsPerSecond: rateOf(name),
      cpuMicrosecondsPerRecord: cpu.length > 0 ? median(cpu) : null,
      ratio: against === '' ? null : rateOf(name) / rateOf(against),
      against,
    };
  });
};

const print = (list: readonly Figure[]): void => {
  const table = new Table({ head: ['', 'records/s', 'CPU us/record', 'ratio', 'against'] });
  for (const figure of list)
    table.push([
      figure.name,
      Math.round(figure.recordsPerSecond),
      figure.cpuMicrosecondsPerRecord?.toFixed(1) ?? '',
      figure.ratio === null || Number.isNaN(figure.ratio)
        ? ''
        : `${Math.round(figure.ratio * 100)} %`,
      figure.against,
    ]);
  process.stdout.write(`${table.toString()}\n`);
};

const others = async () => ({
  latencyFsync: await latency({ writes: 500, writeAsync: false }),
  latencyNoFsync: await latency({ writes: 500, writeAsync: true }),
  idle: await idle(5_000),
  startUp: await startUp(),
});

const ingest = [...(await figures(true)), ...(await figures(false))];
print(ingest);
const rest = wanted('others') ? await others() : null;
if (rest) process.stdout.write(`${JSON.stringify(rest, null, 2)}\n`);
if (values.json)
  await writeFile(values.json, JSON.stringify({ records, rounds, ingest, rest }, null, 2));
