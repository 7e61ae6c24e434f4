/**
 * `skein status`: one line per peer and database, with the reason when it is not connected.
 * Called by cli.ts and, for its verdict, by dev.ts. Reads cluster_status with care: fields may be absent.
 */
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
  readonly lagMs?: number;
  readonly entriesBehind?: number;
}

/** What to print, and whether every peer is connected. Throws CliFailure. */
export const runStatus = async (command: {
  target: Target;
  output: OutputFormat;
  now: number;
}): Promise<{ text: string; exitCode: ExitCode }> => {
  const status = await sendOperation(command.target, { operation: 'cluster_status' });
  const lines = peerLines(status, command.now);
  return {
    text: await statusText(status, { lines, output: command.output }),
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

const HEADINGS = [
  'peer',
  'database',
  'state',
  'reason',
  'rttMs',
  'lastContactMs',
  'lagMs',
  'entriesBehind',
];

const statusText = async (
  status: unknown,
  view: { lines: readonly PeerLine[]; output: OutputFormat },
): Promise<string> => {
  if (view.output !== 'table') {
    return formatResult(status, view.output);
  }
  const name = textOf(recordOf(status)['node_name']);
  if (view.lines.length === 0) {
    return `${name || 'this node'} knows no peers\n`;
  }
  return `as seen from ${name || 'this node'}\n${await formatTable(HEADINGS, view.lines.map(cells))}`;
};

const cells = (line: PeerLine): string[] => [
  line.peer,
  line.database,
  line.state,
  line.reason,
  numberText(line.rttMs),
  numberText(line.lastContactMs),
  numberText(line.lagMs),
  numberText(line.entriesBehind),
];

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

const numberText = (value: number | undefined): string =>
  value === undefined ? '-' : String(Math.round(value * 100) / 100);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const listOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.map(recordOf) : [];
