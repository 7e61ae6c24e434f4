/** The receiving end holds to its own rules, whatever a peer sends. */
import test from 'ava';
import type { ActorContext } from '../../actors/kernel/types.js';
import type { ResyncMessage, RouterMessage } from '../../actors/messages.js';
import { resyncSpec, type ResyncParts } from '../../actors/resync.js';
import { encodeCopyRows, encodeEntries, type SentRow } from '../../protocol/dataFrames.js';
import { DEFINITIONS_TABLE, definitionKey } from '../../protocol/definitionKey.js';
import { encodeEntry, readEntryTables, readLeftOut } from '../../protocol/entry.js';
import { EVERYTHING, type TableScope } from '../../protocol/flow.js';
import type { ControlFrame } from '../../protocol/frames.js';
import {
  databaseName,
  nodeName,
  sequence,
  tableGeneration,
  tableName,
  version,
} from '../../protocol/ids.js';
import { encodeKey } from '../../protocol/orderedKey.js';
import { origin } from '../support/stores.js';

const A = origin('a');
const [CATS, DOGS] = [tableName('cats'), tableName('dogs')];
const GENERATION = tableGeneration(1);
const WITHOUT_DOGS: TableScope = { kind: 'all', except: [DOGS] };
const ONLY_CATS: TableScope = { kind: 'only', tables: [CATS] };

interface Scene {
  readonly told: RouterMessage[];
  readonly sent: ControlFrame[];
  readonly counted: Record<string, number>;
  say(message: ResyncMessage): void;
}

const start = async (rules: Pick<ResyncParts, 'scope' | 'startTimeMs'>): Promise<Scene> => {
  const told: RouterMessage[] = [];
  const sent: ControlFrame[] = [];
  const counted: Record<string, number> = {};
  const self = { path: '/resync', send: () => 'queued' };
  const context = {
    self,
    count: (what: string, by = 1) => void (counted[what] = (counted[what] ?? 0) + by),
  } as unknown as ActorContext<ResyncMessage>;
  const actor = await resyncSpec({
    ...rules,
    database: databaseName('data'),
    peer: nodeName('a'),
    stream: 1,
    router: { path: '/router', send: (message) => (told.push(message), 'queued') },
    link: { sendControl: (frame: ControlFrame) => void sent.push(frame) } as never,
    now: () => 0,
  }).start(context);
  const say = (message: ResyncMessage): void => void actor.receive(message);
  say({ type: 'frame.received', frame: SUBSCRIBED });
  say({ type: 'wants.changed', wants: [{ origin: A, after: sequence(0), checksum: 0 }] });
  say({ type: 'copy.wanted', after: null });
  told.length = 0;
  return { told, sent, counted, say };
};

const SUBSCRIBED: ControlFrame = {
  kind: 'Subscribed',
  stream: 1,
  origin: A,
  positions: [],
  whole: true,
};
const COPY_BEGIN: ControlFrame = {
  kind: 'CopyBegin',
  stream: 1,
  positions: [],
  owed: [],
  estimatedRows: 1,
  marks: [],
  tables: [{ table: 'cats', generation: 1 }],
};
const entry = encodeEntry({
  origin: A,
  sequence: sequence(1),
  version: version(1),
  tables: [CATS, DOGS].map((table) => ({
    table,
    generation: GENERATION,
    changes: [{ key: encodeKey('k'), change: { type: 'delete' } }],
  })),
});
const entriesFrame = encodeEntries(1, [{ origin: A, bytes: entry }]);
const row = (table: string, key: Buffer): SentRow => ({
  table: tableName(table),
  generation: GENERATION,
  key,
  row: { kind: 'deleted', stamp: { version: version(1), origin: A } },
});
const ROWS = [
  row(DEFINITIONS_TABLE, definitionKey(CATS, GENERATION)),
  row(DEFINITIONS_TABLE, definitionKey(DOGS, GENERATION)),
  row('cats', encodeKey('k')),
  row('dogs', encodeKey('k')),
];

test('changes of a table that is not taken are cut out of entries, counted, and credited all the same', async (t) => {
  const { told, counted, say } = await start({ scope: WITHOUT_DOGS, startTimeMs: null });
  say({ type: 'data.received', bytes: entriesFrame });
  const [message] = told;
  if (message?.type !== 'entries.apply') return t.fail('no entries were handed on');
  const [taken] = message.entries;
  if (!taken) return t.fail('the entry was dropped');
  t.deepEqual(
    readEntryTables(taken.bytes).map(({ table }) => table),
    [CATS],
  );
  t.deepEqual(readLeftOut(taken.bytes), { tables: [DOGS], others: null });
  t.is(message.bytes, entry.length);
  t.is(counted['entriesCut'], 1);
});

test('without rules an entry is handed on as it came', async (t) => {
  const { told, counted, say } = await start({ scope: EVERYTHING, startTimeMs: null });
  say({ type: 'data.received', bytes: entriesFrame });
  const [message] = told;
  t.true(message?.type === 'entries.apply' && message.entries[0]?.bytes.equals(entry));
  t.is(counted['entriesCut'], undefined);
});

for (const [scope, expected] of [
  [WITHOUT_DOGS, ['__tables__', '__tables__', 'cats']],
  [ONLY_CATS, ['__tables__', 'cats']],
  [EVERYTHING, ['__tables__', '__tables__', 'cats', 'dogs']],
] as const)
  test(`of the rows of a copy those of ${JSON.stringify(scope)} are taken, and all are counted`, async (t) => {
    const { told, say } = await start({ scope, startTimeMs: null });
    say({ type: 'frame.received', frame: COPY_BEGIN });
    say({ type: 'data.received', bytes: encodeCopyRows(1, ROWS) });
    say({ type: 'frame.received', frame: { kind: 'CopyEnd', stream: 1, rows: ROWS.length } });
    const rows = told.find((message) => message.type === 'copy.apply');
    t.deepEqual(rows?.type === 'copy.apply' && rows.rows.map(({ table }) => String(table)), [
      ...expected,
    ]);
    t.is(told.at(-1)?.type, 'copy.end');
  });

test('what this end does not take counts as left out of a copy, whatever its source says', async (t) => {
  const { told, say } = await start({ scope: WITHOUT_DOGS, startTimeMs: null });
  say({ type: 'frame.received', frame: COPY_BEGIN });
  t.like(told[0], { type: 'copy.begin', leftOut: { tables: [DOGS], others: null } });
});

test('with a start time no table of a copy is whole, and all are cut off', async (t) => {
  const { told, sent, say } = await start({ scope: EVERYTHING, startTimeMs: 7 });
  t.like(sent[0], { kind: 'Subscribe', startTimeMs: 7 });
  say({ type: 'frame.received', frame: COPY_BEGIN });
  t.like(told[0], { type: 'copy.begin', tables: [], cutOff: [CATS] });
});

test('the scope that is wanted is asked for, and what is served is no more than that', async (t) => {
  const { told, sent, say } = await start({ scope: ONLY_CATS, startTimeMs: null });
  t.like(sent[0], { kind: 'Subscribe', scope: ONLY_CATS });
  say({ type: 'frame.received', frame: SUBSCRIBED });
  t.like(told[0], { type: 'peer.linked', scope: ONLY_CATS });
  say({ type: 'frame.received', frame: { ...SUBSCRIBED, scope: WITHOUT_DOGS } });
  t.like(told[1], { type: 'peer.linked', scope: ONLY_CATS });
});
