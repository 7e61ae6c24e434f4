/** `skein status`: the table of peers, its reasons, and exit code 4. */
import test, { type ExecutionContext } from 'ava';
import { copyLines, peerLines, runStatus } from '../../server/cli/status.js';
import { startOperationsApi } from '../../server/operationsApi.js';
import { fakeNode } from '../support/fakeNode.js';
import { runCli } from '../support/runCli.js';

const NOW = Date.parse('2026-01-02T03:04:05Z');

const CONNECTED = {
  database: 'data',
  connected: true,
  state: 'connected',
  latency: 0.8512,
  lastLiveness: NOW - 1500,
  lagMs: 3,
  entriesBehind: 0,
  sending: { state: 'CATCHING_UP', entriesBehind: 4, lagMs: 2_500 },
};
const WAITING = {
  database: 'data',
  connected: false,
  state: 'backingOff',
  reason: 'connection refused',
  attempt: 3,
  nextTry: new Date(NOW + 4000).toISOString(),
  entriesBehind: 120,
};

const statusOf = (...connections: { name: string; database_sockets: object[] }[]): object => ({
  type: 'cluster-status',
  node_name: 'node-a',
  is_enabled: true,
  connections,
});

const status = async (
  t: ExecutionContext,
  answer: object,
  options: readonly string[] = [],
): Promise<{ code: number | null; stdout: string; stderr: string }> => {
  const node = fakeNode({ answers: { cluster_status: () => answer } });
  const door = await startOperationsApi(node);
  t.teardown(() => door.close());
  const line = ['status', '--url', door.address, '--username', 'admin', '--password', 'secret'];
  return runCli([...line, ...options]);
};

const cellsOf = (stdout: string): string[][] =>
  stdout
    .split('\n')
    .filter((line) => line.includes('│'))
    .map((line) =>
      line
        .split('│')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

test('a connected socket shows its numbers', (t) => {
  t.deepEqual(peerLines(statusOf({ name: 'b', database_sockets: [CONNECTED] }), NOW), [
    {
      peer: 'b',
      database: 'data',
      connected: true,
      state: 'connected',
      reason: '',
      rttMs: 0.8512,
      lastContactMs: 1500,
      lagMs: 3,
      entriesBehind: 0,
      peerLagMs: 2_500,
      peerEntriesBehind: 4,
    },
  ]);
});

test('a disconnected socket shows why, how often and when next', (t) => {
  t.deepEqual(peerLines(statusOf({ name: 'b', database_sockets: [WAITING] }), NOW), [
    {
      peer: 'b',
      database: 'data',
      connected: false,
      state: 'backingOff',
      reason: 'connection refused (attempt 3, next in 4 s)',
      entriesBehind: 120,
    },
  ]);
});

for (const [name, socket, expected] of [
  ['only the documented fields, connected', { database: 'd', connected: true }, ['connected', '']],
  [
    'only the documented fields, not connected',
    { database: 'd', connected: false },
    ['disconnected', ''],
  ],
  [
    'an attempt without a time',
    { ...WAITING, nextTry: undefined },
    ['backingOff', 'connection refused (attempt 3)'],
  ],
] as const) {
  test(`a socket with ${name} is understood`, (t) => {
    const line = peerLines(statusOf({ name: 'b', database_sockets: [socket] }), NOW)[0];
    t.deepEqual([line?.state, line?.reason], [...expected]);
  });
}

test('the last contact is taken from date text too', (t) => {
  const socket = { ...CONNECTED, lastLiveness: new Date(NOW - 2000).toUTCString() };
  t.is(peerLines(statusOf({ name: 'b', database_sockets: [socket] }), NOW)[0]?.lastContactMs, 2000);
});

for (const answer of [null, {}, { connections: 5 }, { connections: [null] }, []]) {
  test(`an answer of ${JSON.stringify(answer)} does not break status`, (t) => {
    t.notThrows(() => peerLines(answer, NOW));
  });
}

test('everything connected: a table and exit code 0', async (t) => {
  const { code, stdout, stderr } = await status(
    t,
    statusOf({ name: 'b', database_sockets: [CONNECTED, { ...CONNECTED, database: 'system' }] }),
  );
  t.deepEqual([code, stderr], [0, '']);
  t.true(stdout.startsWith('as seen from node-a\n'));
  const cells = cellsOf(stdout);
  t.deepEqual(cells[0], [
    'peer',
    'database',
    'state',
    'why',
    'rtt',
    'heard',
    'to receive',
    'to send',
  ]);
  t.deepEqual(cells[1]?.slice(0, 5), ['b', 'data', 'connected', '', '0.85 ms']);
  t.deepEqual(cells[1]?.slice(6), ['nothing, 3 ms', '4 entries, 2.5 s']);
  t.is(cells.length, 3);
});

test('one peer not connected: exit code 4', async (t) => {
  const { code, stdout } = await status(
    t,
    statusOf(
      { name: 'b', database_sockets: [CONNECTED] },
      { name: 'c', database_sockets: [WAITING] },
    ),
  );
  t.is(code, 4);
  t.is(cellsOf(stdout)[2]?.[2], 'backingOff');
});

test('a peer with which nothing is exchanged: exit code 4', async (t) => {
  const { code, stdout } = await status(t, statusOf({ name: 'b', database_sockets: [] }));
  t.is(code, 4);
  t.deepEqual(cellsOf(stdout)[1]?.slice(0, 4), ['b', '-', 'idle', 'no database is exchanged']);
});

test('no peers: said in words, exit code 0', async (t) => {
  const { code, stdout } = await status(t, statusOf());
  t.deepEqual([code, stdout], [0, 'node-a knows no peers\n']);
});

const copying = (copy: object): object => ({ databases: [{ database: 'data', copy }] });

for (const [copy, line] of [
  [
    { from: 'b', percent: 61.3, rows_per_second: 1200, remaining_ms: 20_400 },
    'data: copy from b  [############........] 61.3 %  1200 rows/s  about 20.4 s left',
  ],
  [
    { from: null, percent: 99.9 },
    'data: waits for a peer to copy from  [###################.] 99.9 %',
  ],
] as const)
  test(`a copy at ${copy.percent} % has a bar`, (t) => {
    t.deepEqual(copyLines(copying(copy)), [line]);
  });

test('a complete copy has no bar', (t) => {
  t.deepEqual(copyLines(copying({ from: 'b', percent: 100 })), []);
});

test('what is not known is not given as a number', async (t) => {
  const { stdout } = await status(
    t,
    statusOf({ name: 'b', database_sockets: [{ database: 'd', connected: true }] }),
  );
  t.deepEqual(cellsOf(stdout)[1]?.slice(4), ['-', '-', '-', '-']);
});

test('states have colours on a terminal, and nowhere else', async (t) => {
  const socket = { ...CONNECTED, state: 'STALLED' };
  const answer = statusOf({ name: 'HEALTHY\u001b[5m', database_sockets: [socket] });
  const node = fakeNode({ answers: { cluster_status: () => answer } });
  const door = await startOperationsApi(node);
  t.teardown(() => door.close());
  const target = { url: door.address, username: 'admin', password: 'secret' };
  const show = async (colours: boolean): Promise<string> =>
    (await runStatus({ target, output: 'table', now: NOW, colours })).text;
  t.true((await show(true)).includes('\u001b[31mSTALLED\u001b[39m'));
  t.false((await show(true)).includes('\u001b[5m'));
  t.false((await show(false)).includes('\u001b'));
});

test('-o json prints the whole answer and keeps the exit code', async (t) => {
  const answer = statusOf({ name: 'b', database_sockets: [WAITING] });
  const { code, stdout } = await status(t, answer, ['-o', 'json']);
  t.is(code, 4);
  t.deepEqual(JSON.parse(stdout), answer);
});

test('an unreachable node: exit code 3, not 4', async (t) => {
  t.is((await runCli(['status', '--url', 'http://127.0.0.1:9'])).code, 3);
});
