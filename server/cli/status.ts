/**
 * `skein status`: copies that are going on, and one line per peer and database: its state and why, and how far each
 * side is behind the other. Called by cli.ts and, for its verdict, by dev.ts. Reads cluster_status with care: fields may
 * be absent.
 */
import { printable } from '../treeText.js';
import { sendOperation, type Target } from './client.js';
import { EXIT, type ExitCode } from './exitCodes.js';
import { formatResult, formatTable, type OutputFormat } from './output.js';

export interface PeerLine {
  readonly peer: string;
  readonly database: string;
  readonly connected: boolean;
  readonly state: string;
  readonly reason: string;
  /** Milliseconds or entries; absent when unknown. */
  readonly rttMs?: number;
  readonly lastContactMs?: number;
  /** What this node lacks of what the peer has. */
  readonly lagMs?: number;
  readonly entriesBehind?: number;
  /** What the peer lacks of what this node has. */
  readonly peerLagMs?: number;
  readonly peerEntriesBehind?: number;
}

/** What to print, and whether every peer is connected. Colours by default on a terminal that has them. Throws CliFailure. */
export const runStatus = async (command: {
  target: Target;
  output: OutputFormat;
  now: number;
  colours?: boolean;
}): Promise<{ text: string; exitCode: ExitCode }> => {
  const status = await sendOperation(command.target, { operation: 'cluster_status' });
  const lines = peerLines(status, command.now);
  return {
    text: await statusText(status, {
      lines,
      output: command.output,
      colours: command.colours ?? (process.stdout.isTTY && process.stdout.hasColors()),
    }),
    exitCode: lines.every((line) => line.connected) ? EXIT.ok : EXIT.disconnected,
  };
};

/**
 * A peer without sockets has one line, not connected: nothing is exchanged with it. `now` is the time to
 * count `lastContactMs` from, milliseconds since the epoch.
 */
export const peerLines = (status: unknown, now: number): PeerLine[] =>
  listOf(recordOf(status)['connections']).flatMap((connection) => {
    const peer = textOf(connection['name']) || textOf(connection['url']) || '?';
    const sockets = listOf(connection['database_sockets']);
    return sockets.length === 0
      ? [
          {
            peer,
            database: '-',
            connected: false,
            state: 'idle',
            reason: 'no database is exchanged',
          },
        ]
      : sockets.map((socket) => socketLine(peer, socket, now));
  });

/** A line for each copy that is not complete, with a bar; numbers that are absent are left out. */
export const copyLines = (status: unknown): string[] =>
  listOf(recordOf(status)['databases']).flatMap((database) => {
    const copy = recordOf(database['copy']);
    const percent = numberOf(copy['percent']);
    if (percent === undefined || percent >= 100) return [];
    const from = textOf(copy['from']);
    const rate = numberOf(copy['rows_per_second']);
    const remaining = numberOf(copy['remaining_ms']);
    const words = [
      from === '' ? 'waits for a peer to copy from' : `copy from ${from}`,
      `${bar(percent)} ${percent.toFixed(1)} %`,
      ...(rate === undefined ? [] : [`${rate} rows/s`]),
      ...(remaining === undefined ? [] : [`about ${durationText(remaining)} left`]),
    ];
    return [`${printable(textOf(database['database']))}: ${printable(words.join('  '))}`];
  });

const HEADINGS = ['peer', 'database', 'state', 'why', 'rtt', 'heard', 'to receive', 'to send'];

const statusText = async (
  status: unknown,
  view: { lines: readonly PeerLine[]; output: OutputFormat; colours: boolean },
): Promise<string> => {
  if (view.output !== 'table') {
    return formatResult(status, view.output);
  }
  const name = printable(textOf(recordOf(status)['node_name']) || 'this node');
  const copies = copyLines(status).map((line) => `${line}\n`);
  if (view.lines.length === 0) {
    return `${name} knows no peers\n${copies.join('')}`;
  }
  const table = await formatTable(HEADINGS, view.lines.map(cells));
  return [
    `as seen from ${name}\n`,
    ...copies,
    view.colours ? coloured(table) : table,
    ...(copies.length === 0 ? [] : ['reads of a database that is being copied are incomplete\n']),
  ].join('');
};

const cells = (line: PeerLine): string[] => [
  line.peer,
  line.database,
  line.state,
  line.reason,
  durationText(line.rttMs),
  line.lastContactMs === undefined ? '-' : `${durationText(line.lastContactMs)} ago`,
  distanceText(line.entriesBehind, line.lagMs),
  distanceText(line.peerEntriesBehind, line.peerLagMs),
];

/** `nothing`, or how many entries and how old the oldest is. */
const distanceText = (entries: number | undefined, lagMs: number | undefined): string => {
  if (entries === undefined) return '-';
  const age = lagMs === undefined || lagMs === 0 ? '' : `, ${durationText(lagMs)}`;
  if (entries === 0) return `nothing${age}`;
  return `${entries} ${entries === 1 ? 'entry' : 'entries'}${age}`;
};

const durationText = (ms: number | undefined): string => {
  if (ms === undefined) return '-';
  if (ms < 10) return `${Math.round(ms * 100) / 100} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Math.round(ms / 100) / 10} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
};

const BAR_CELLS = 20;

/** Full only at 100. */
const bar = (percent: number): string => {
  const full = Math.max(0, Math.min(BAR_CELLS, Math.floor((percent * BAR_CELLS) / 100)));
  return `[${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}]`;
};

const COLOURS: Readonly<Record<string, number>> = {
  HEALTHY: 32,
  CATCHING_UP: 33,
  FALLING_BEHIND: 33,
  STALLED: 31,
  DISCONNECTED: 31,
};

/** Colours cells that are the name of a state. Done last: text from a node is escaped before. */
const coloured = (table: string): string =>
  table.replaceAll(/(?<=│ )[A-Z_]+(?= +│)/gu, (word) =>
    COLOURS[word] === undefined ? word : `\u001b[${COLOURS[word]}m${word}\u001b[39m`,
  );

const socketLine = (peer: string, socket: Record<string, unknown>, now: number): PeerLine => {
  const connected = socket['connected'] === true;
  const contact = momentOf(socket['lastLiveness']) ?? momentOf(socket['lastReceivedLocalTime']);
  return {
    peer,
    database: textOf(socket['database']) || '-',
    connected,
    state: textOf(socket['state']) || (connected ? 'connected' : 'disconnected'),
    reason: reasonText(socket, { connected, now }),
    ...numberField('rttMs', socket['latency']),
    ...numberField('lastContactMs', contact === undefined ? undefined : Math.max(0, now - contact)),
    ...numberField('lagMs', socket['lagMs']),
    ...numberField('entriesBehind', socket['entriesBehind']),
    ...numberField('peerLagMs', recordOf(socket['sending'])['lagMs']),
    ...numberField('peerEntriesBehind', recordOf(socket['sending'])['entriesBehind']),
  };
};

const reasonText = (
  socket: Record<string, unknown>,
  view: { connected: boolean; now: number },
): string => {
  const reason = textOf(socket['reason']);
  const next = momentOf(socket['nextTry']);
  if (view.connected || typeof socket['attempt'] !== 'number') {
    return reason;
  }
  const wait =
    next === undefined ? '' : `, next in ${Math.max(0, Math.round((next - view.now) / 1000))} s`;
  return `${reason}${reason === '' ? '' : ' '}(attempt ${socket['attempt']}${wait})`;
};

const numberField = <Name extends string>(
  name: Name,
  value: unknown,
): { [name in Name]?: number } =>
  (typeof value === 'number' && Number.isFinite(value) ? { [name]: value } : {}) as {
    [name in Name]?: number;
  };

/** Milliseconds since the epoch from a number or any date text. */
const momentOf = (value: unknown): number | undefined => {
  const moment = typeof value === 'string' ? Date.parse(value) : value;
  return typeof moment === 'number' && Number.isFinite(moment) ? moment : undefined;
};

const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const listOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.map(recordOf) : [];
