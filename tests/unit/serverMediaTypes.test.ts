/** Accept negotiation, the binary formats both ways, and JSON of what JSON does not know. */
import test from 'ava';
import * as cborg from 'cborg';
import { decode, encode } from '../../protocol/codec.js';
import { startOperationsApi } from '../../server/operationsApi.js';
import { encodeAnswer, jsonText, negotiate } from '../../server/mediaTypes.js';
import { parseBody } from '../../server/requestBody.js';
import { fakeNode } from '../support/fakeNode.js';

for (const [accept, expected] of [
  [undefined, 'json'],
  ['', 'json'],
  ['*/*', 'json'],
  ['application/*', 'json'],
  ['text/*', 'text'],
  ['application/json, text/plain, */*', 'json'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'json'],
  ['text/csv, */*', 'csv'],
  ['text/csv;q=0.1, application/json;q=0.2', 'json'],
  ['application/json, application/cbor', 'cbor'],
  ['application/json, application/x-msgpack', 'msgpack'],
  ['application/json;q=0.9, application/x-msgpack;q=0.3', 'json'],
  ['application/json;q=0, */*', 'cbor'],
  ['APPLICATION/CBOR ; Q=1', 'cbor'],
  ['text/yaml', 'yaml'],
  ['text/plain;charset=utf-8', 'text'],
  ['image/png, text/csv', 'csv'],
] as const) {
  test(`Accept: ${accept ?? 'absent'} means ${expected}`, (t) => {
    t.is(negotiate(accept), expected);
  });
}

for (const accept of ['image/png', 'application/json;q=0', 'application/cbor;q=2', '*']) {
  test(`Accept: ${accept} fits nothing`, (t) => {
    t.throws(() => negotiate(accept), { message: /^No supported content types found in Accept/ });
  });
}

const RECORD = { id: 'a', count: 5, list: [1, 'two', null], deep: { x: true } };

test('CBOR goes in and out unchanged', async (t) => {
  const bytes = cborg.encode({ operation: 'x', record: RECORD });
  t.deepEqual(await parseBody(Buffer.from(bytes), 'CBOR'), { operation: 'x', record: RECORD });
  const { headers, body } = await encodeAnswer('cbor', RECORD);
  t.is(headers['content-type'], 'application/cbor');
  t.deepEqual(cborg.decode(body as Uint8Array), RECORD);
});

test('a date is a tagged time in CBOR, both ways', async (t) => {
  const moment = new Date('2026-01-02T03:04:05.678Z');
  const { body } = await encodeAnswer('cbor', { operation: 'x', moment });
  t.deepEqual(await parseBody(Buffer.from(body as Uint8Array), 'CBOR'), { operation: 'x', moment });
});

test('MessagePack goes in and out unchanged', async (t) => {
  const bytes = encode({ operation: 'x', record: RECORD });
  t.deepEqual(await parseBody(Buffer.from(bytes), 'MessagePack'), {
    operation: 'x',
    record: RECORD,
  });
  const { headers, body } = await encodeAnswer('msgpack', RECORD);
  t.is(headers['content-type'], 'application/x-msgpack');
  t.deepEqual(decode(body as Uint8Array), RECORD);
});

const nestedCbor = (levels: number): Buffer =>
  Buffer.concat([
    Buffer.from([0xa2]),
    cborg.encode('operation'),
    cborg.encode('x'),
    cborg.encode('value'),
    Buffer.alloc(levels, 0x81),
    Buffer.from([0x80]),
  ]);

const nestedMessagePack = (levels: number): Buffer =>
  Buffer.concat([
    Buffer.from([0x81]),
    encode('operation'),
    Buffer.alloc(levels, 0x91),
    Buffer.from([0x90]),
  ]);

for (const levels of [100, 5000, 1_000_000]) {
  test(`CBOR nested ${levels} levels is refused`, async (t) => {
    await t.throwsAsync(() => parseBody(nestedCbor(levels), 'CBOR'), {
      message: 'The body is nested deeper than 64 levels',
    });
  });

  test(`MessagePack nested ${levels} levels is refused`, async (t) => {
    await t.throwsAsync(() => parseBody(nestedMessagePack(levels), 'MessagePack'), {
      message: /^Invalid MessagePack\. .*nested too deeply/,
    });
  });
}

test('a __proto__ key in CBOR is refused and changes no prototype', async (t) => {
  const bytes = cborg.encode(new Map([['__proto__', { isAdmin: true }]]));
  await t.throwsAsync(() => parseBody(Buffer.from(bytes), 'CBOR'), {
    message: `'__proto__' is not allowed as a field name`,
  });
});

test('a __proto__ key in MessagePack is refused', async (t) => {
  const bytes = Buffer.concat([Buffer.from([0x81]), encode('__proto__'), Buffer.from([0x80])]);
  await t.throwsAsync(() => parseBody(bytes, 'MessagePack'), { message: /__proto__/ });
});

for (const [name, value] of [
  ['an array', []],
  ['a number', 5],
  ['bytes', new Uint8Array(3)],
] as const) {
  test(`${name} as CBOR body is no operation`, async (t) => {
    await t.throwsAsync(() => parseBody(Buffer.from(cborg.encode(value)), 'CBOR'), {
      message: 'Invalid CBOR.',
    });
  });
}

test('a CBOR map with a key that is no text is refused', async (t) => {
  await t.throwsAsync(() => parseBody(Buffer.from(cborg.encode(new Map([[1, 2]]))), 'CBOR'), {
    message: `'1' is not allowed as a field name`,
  });
});

test('JSON writes bytes as base64 and large integers as text, and the rest as always', (t) => {
  const value = { bytes: Buffer.from('hi'), plain: new Uint8Array([1]), big: 2n ** 64n, n: [1.5] };
  t.is(jsonText(value), '{"bytes":"aGk=","plain":"AQ==","big":"18446744073709551616","n":[1.5]}');
  t.is(jsonText({ a: undefined, moment: new Date(0) }), '{"moment":"1970-01-01T00:00:00.000Z"}');
});

test('CSV has the union of all fields, and nested values as JSON', async (t) => {
  const rows = [
    { id: 1, tags: ['a', 'b'] },
    { id: 2, note: 'says "hi", twice', at: new Date(0) },
  ];
  const { body } = await encodeAnswer('csv', rows);
  t.is(
    body,
    'id,tags,note,at\n1,"[""a"",""b""]",,\n2,,"says ""hi"", twice",1970-01-01T00:00:00.000Z\n',
  );
});

test('a lone message is plain text', async (t) => {
  t.is(
    (await encodeAnswer('text', { message: 'inserted 1 of 1 records' })).body,
    'inserted 1 of 1 records',
  );
});

test('errors are answered in the binary format the client asked for', async (t) => {
  const door = await startOperationsApi(fakeNode());
  t.teardown(() => door.close());
  const response = await fetch(door.address, {
    method: 'POST',
    headers: { 'content-type': 'application/cbor', accept: 'application/cbor' },
    body: cborg.encode({ operation: 'x' }),
  });
  t.is(response.status, 401);
  t.deepEqual(cborg.decode(new Uint8Array(await response.arrayBuffer())), { error: 'Must login' });
});
