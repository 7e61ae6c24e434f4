/**
 * JSON Schemas of the control frames' content. Unknown fields are allowed everywhere: a later version may
 * send more. A test pins the hash of this file's schemas to the protocol version.
 */
import { limits } from './limits.js';
import type { Schema } from './validate.js';

const text = { type: 'string', maxLength: limits.nameCharactersMax * 2 } as const;
const reason = { type: 'string', maxLength: 1000 } as const;
const longText = { type: 'string', maxLength: 10_000 } as const;
const whole = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const;
const stream = { type: 'integer', minimum: 1, maximum: 0xffffffff } as const;
const yesOrNo = { type: 'boolean' } as const;

const object = (
  properties: Record<string, object>,
  optional: Record<string, object> = {},
): Schema => ({
  type: 'object',
  properties: { ...properties, ...optional },
  required: Object.keys(properties),
});

const list = (items: object, maxItems: number = limits.originsPerFrameMax): object => ({
  type: 'array',
  items,
  maxItems,
});

const position = object({ origin: text, sequence: whole, version: whole });
const want = object({ origin: text, after: whole, checksum: whole });
const copied = object({ origin: text, sequence: whole, version: whole, checksum: whole });
const names = list(text, 10_000);
const member = object({
  name: text,
  generation: whole,
  ended: yesOrNo,
  url: { type: ['string', 'null'], maxLength: limits.urlCharactersMax },
});
const mark = object({ origin: text, version: whole });
const copiedTable = object({ table: text, generation: whole });

const scope = {
  anyOf: [
    object({ kind: { const: 'all' }, except: names }),
    object({ kind: { const: 'only' }, tables: names }),
  ],
} as const;
const others = { anyOf: [{ type: 'null' }, names] } as const;
const leftOut = object({ tables: names, others });
const inPart = list(object({ origin: text, tables: names, others }));

const greeting = object({
  versions: object({ min: whole, max: whole }),
  node: text,
  incarnation: text,
  process: text,
  nowMs: { type: 'number' },
  clock: whole,
  capabilities: list(text, 100),
  databases: names,
});

export const controlSchemas = {
  Hello: greeting,
  Welcome: greeting,
  Bye: object({ code: text, reason }),
  Ping: object({ id: whole }),
  Pong: object({ id: whole }),
  Gossip: object({ databases: names, members: list(member, limits.membersMax) }),
  Subscribe: object(
    { stream, database: text, wants: list(want), windowBytes: whole },
    { scope, startTimeMs: { type: 'number' } },
  ),
  Subscribed: object(
    { stream, origin: text, positions: list(position), whole: yesOrNo },
    { scope, inPart },
  ),
  Unsubscribe: object({ stream, reason }),
  Want: object({ stream, add: list(want), drop: list(text) }),
  Notice: object({ stream, positions: list(position), whole: yesOrNo }, { inPart }),
  TooOld: object({ stream, origin: text, logStart: whole }),
  Ack: object({ stream, positions: list(position), creditBytes: whole }),
  CopyRequest: object(
    {
      stream,
      after: {
        anyOf: [
          { type: 'null' },
          object({ table: text, generation: whole, key: { type: 'object' } }),
        ],
      },
    },
    { tables: scope },
  ),
  CopyBegin: object(
    {
      stream,
      positions: list(copied),
      owed: list(copied),
      estimatedRows: whole,
      marks: list(mark),
      tables: list(copiedTable),
    },
    { leftOut, inPart },
  ),
  CopyEnd: object({ stream, rows: whole }),
  CopyRefused: object({ stream, reason }),
  Refused: object({ stream, origin: text, sequence: whole, version: whole, reason }),
  Operation: object({ id: whole, operation: { type: 'object' } }, { authorization: longText }),
  OperationResult: object(
    { id: whole },
    { answer: { type: 'object' }, error: object({ code: text, message: longText }) },
  ),
} as const;
