/** The operations API over real HTTP, before a node that only plays its part. */
import { request } from 'node:http';
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { SkeinError, type ErrorCode } from '../../protocol/errors.js';
import { limits, MIB } from '../../protocol/limits.js';
import type { DoorLogger } from '../../server/logger.js';
import { startOperationsApi } from '../../server/operationsApi.js';
import { fakeNode, type FakeNode, type FakeNodeOptions } from '../support/fakeNode.js';
import { waitUntil } from '../support/waitUntil.js';

const ADMIN = { authorization: `Basic ${btoa('admin:secret')}` };
const JSON_TYPE = { 'content-type': 'application/json' };

interface LogLine {
  readonly level: 'warn' | 'error';
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

interface OpenDoor {
  readonly node: FakeNode;
  readonly url: string;
  readonly lines: LogLine[];
}

const open = async (t: ExecutionContext, options: FakeNodeOptions = {}): Promise<OpenDoor> => {
  const lines: LogLine[] = [];
  const logger: DoorLogger = {
    warn: (fields, message) => void lines.push({ level: 'warn', fields: { ...fields }, message }),
    error: (fields, message) => void lines.push({ level: 'error', fields: { ...fields }, message }),
  };
  const node = fakeNode({ answers: { echo: (operation) => operation }, ...options });
  const door = await startOperationsApi(node, { logger });
  t.teardown(() => door.close());
  return { node, url: door.address, lines };
};

const post = (
  url: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Response> => fetch(url, { method: 'POST', body, headers: { ...JSON_TYPE, ...headers } });

const seen = async (response: Response): Promise<[number, string]> => [
  response.status,
  await response.text(),
];

test('an operation is handed on with its user and its answer comes back as JSON', async (t) => {
  const { node, url } = await open(t);
  const response = await post(url, '{"operation":"echo","table":"dog"}', ADMIN);
  t.is(response.headers.get('content-type'), 'application/json; charset=utf-8');
  t.deepEqual(await seen(response), [200, '{"operation":"echo","table":"dog"}']);
  t.deepEqual(node.executed, [
    {
      operation: { operation: 'echo', table: 'dog' },
      user: { username: 'admin', superUser: true, active: true },
    },
  ]);
});

for (const [result, expected] of [
  ['done', '{"message":"done"}'],
  [5, '{"message":5}'],
  [undefined, '{"message":null}'],
  [[{ id: 1 }], '[{"id":1}]'],
  [{ message: 'ok' }, '{"message":"ok"}'],
] as const) {
  test(`a result ${JSON.stringify(result)} is answered as ${expected}`, async (t) => {
    const { url } = await open(t, { answers: { give: () => result } });
    t.deepEqual(await seen(await post(url, '{"operation":"give"}', ADMIN)), [200, expected]);
  });
}

interface Refusal {
  readonly name: string;
  readonly body: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly error: string;
}

const deep = (levels: number): string =>
  `{"operation":"echo","value":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;

const NO_OPERATION = `Request body must include an 'operation' property.`;

const REFUSALS: readonly Refusal[] = [
  {
    name: 'no credentials',
    body: '{"operation":"echo"}',
    headers: {},
    status: 401,
    error: 'Must login',
  },
  {
    name: 'a wrong password',
    body: '{"operation":"echo"}',
    headers: { authorization: `Basic ${btoa('admin:wrong')}` },
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'an unknown user',
    body: '{"operation":"echo"}',
    headers: { authorization: `Basic ${btoa('nobody:secret')}` },
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'a Basic value that is no base64',
    body: '{"operation":"echo"}',
    headers: { authorization: 'Basic %%%' },
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'a Basic value without a colon',
    body: '{"operation":"echo"}',
    headers: { authorization: `Basic ${btoa('admin')}` },
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'another scheme',
    body: '{"operation":"echo"}',
    headers: { authorization: 'Digest x' },
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'a bearer token',
    body: '{"operation":"echo"}',
    headers: { authorization: 'Bearer abc.def.ghi' },
    status: 401,
    error: 'invalid token',
  },
  {
    name: 'an inactive user',
    body: '{"operation":"echo"}',
    headers: { authorization: `Basic ${btoa('retired:secret')}` },
    status: 401,
    error: 'Cannot complete request: User is inactive',
  },
  {
    name: 'a wrong password in the body',
    body: '{"operation":"echo","username":"admin","password":"wrong"}',
    headers: {},
    status: 401,
    error: 'Login failed',
  },
  {
    name: 'a user name without a password in the body',
    body: '{"operation":"echo","username":"admin"}',
    headers: {},
    status: 401,
    error: 'Must login',
  },
  { name: 'an empty body', body: '', status: 400, error: 'Invalid JSON.' },
  { name: 'broken JSON', body: '{"operation":', status: 400, error: 'Invalid JSON.' },
  { name: 'an array', body: '[{"operation":"echo"}]', status: 400, error: 'Invalid JSON.' },
  { name: 'a string', body: '"echo"', status: 400, error: 'Invalid JSON.' },
  { name: 'null', body: 'null', status: 400, error: 'Invalid JSON.' },
  {
    name: 'text after the JSON',
    body: '{"operation":"echo"} x',
    status: 400,
    error: 'Invalid JSON.',
  },
  {
    name: 'a byte order mark',
    body: '\ufeff{"operation":"echo"}',
    status: 400,
    error: 'Invalid JSON.',
  },
  { name: 'no operation', body: '{"table":"dog"}', status: 400, error: NO_OPERATION },
  { name: 'an empty operation', body: '{"operation":""}', status: 400, error: NO_OPERATION },
  { name: 'an operation of null', body: '{"operation":null}', status: 400, error: NO_OPERATION },
  {
    name: 'an unknown operation',
    body: '{"operation":"sql"}',
    status: 400,
    error: `Operation 'sql' not found`,
  },
  {
    name: 'a __proto__ key at the top',
    body: '{"operation":"echo","__proto__":{"superUser":true}}',
    status: 400,
    error: `'__proto__' is not allowed as a field name`,
  },
  {
    name: 'a __proto__ key in a record',
    body: '{"operation":"echo","records":[{},{"a":{"__proto__":1}}]}',
    status: 400,
    error: `'records[1].a.__proto__' is not allowed as a field name`,
  },
  {
    name: '65 levels',
    body: deep(65),
    status: 400,
    error: `'value${'[0]'.repeat(63)}' is nested deeper than 64 levels`,
  },
  {
    name: '5000 levels',
    body: deep(5000),
    status: 400,
    error: `'value${'[0]'.repeat(63)}' is nested deeper than 64 levels`,
  },
  {
    name: 'form data',
    body: 'operation=echo',
    headers: { ...ADMIN, 'content-type': 'application/x-www-form-urlencoded' },
    status: 415,
    error: `Content-Type 'application/x-www-form-urlencoded' is not supported, use application/json, application/cbor or application/x-msgpack`,
  },
  {
    name: 'JSON sent as text, as any web page can',
    body: '{"operation":"echo"}',
    headers: { ...ADMIN, 'content-type': 'text/plain' },
    status: 415,
    error: `Content-Type 'text/plain' is not supported, use application/json, application/cbor or application/x-msgpack`,
  },
  {
    name: 'a compressed body',
    body: '{"operation":"echo"}',
    headers: { ...ADMIN, 'content-encoding': 'gzip' },
    status: 415,
    error: `Content-Encoding 'gzip' is not supported, send plain bodies`,
  },
  {
    name: 'JSON sent as CBOR',
    body: '{"operation":"echo"}',
    headers: { ...ADMIN, 'content-type': 'application/cbor' },
    status: 400,
    error: 'Invalid CBOR.',
  },
  {
    name: 'an Accept header nobody can satisfy',
    body: '{"operation":"echo"}',
    headers: { ...ADMIN, accept: 'image/png' },
    status: 406,
    error:
      'No supported content types found in Accept header, supported types include: application/cbor, application/x-msgpack, application/json, application/yaml, text/plain, text/csv',
  },
];

for (const { name, body, headers = ADMIN, status, error } of REFUSALS) {
  test(`${name} is refused with ${status} and runs nothing`, async (t) => {
    const { node, url } = await open(t);
    t.deepEqual(await seen(await post(url, body, headers)), [status, JSON.stringify({ error })]);
    t.deepEqual(
      node.executed.filter(({ operation }) => operation['operation'] === 'echo'),
      [],
    );
  });
}

test('64 levels are taken', async (t) => {
  const { url } = await open(t);
  t.deepEqual(await seen(await post(url, deep(64), ADMIN)), [200, deep(64)]);
});

test('SE-23 a body of 1 000 000 levels is refused and the door stays open', async (t) => {
  const { url } = await open(t);
  const response = await post(url, deep(1_000_000), ADMIN);
  t.is(response.status, 400);
  t.regex(await response.text(), /is nested deeper than 64 levels/);
  t.is((await post(url, '{"operation":"echo"}', ADMIN)).status, 200);
});

test('SE-29 bytes that are no UTF-8 are refused instead of being replaced', async (t) => {
  const { url } = await open(t);
  const body = Buffer.from('{"operation":"echo","name":"\u00ff"}', 'latin1');
  t.deepEqual(await seen(await post(url, body, ADMIN)), [400, '{"error":"Invalid JSON."}']);
});

test('SE-29 of duplicate keys the last one counts', async (t) => {
  const { node, url } = await open(t);
  await post(url, '{"operation":"drop_database","operation":"echo"}', ADMIN);
  t.deepEqual(node.executed[0]?.operation, { operation: 'echo' });
});

test('credentials in the body log in and are not handed on', async (t) => {
  const { node, url } = await open(t);
  const body = '{"operation":"echo","username":"reader","password":"secret","table":"dog"}';
  t.deepEqual(await seen(await post(url, body)), [200, '{"operation":"echo","table":"dog"}']);
  t.is(node.executed[0]?.user?.username, 'reader');
});

test('with an Authorization header, username and password in the body belong to the operation', async (t) => {
  const { node, url } = await open(t);
  await post(url, '{"operation":"echo","username":"new","password":"pw"}', ADMIN);
  t.deepEqual(node.executed[0]?.operation, { operation: 'echo', username: 'new', password: 'pw' });
  t.is(node.executed[0]?.user?.username, 'admin');
});

const BEARER = (token: string) => ({ authorization: `Bearer ${token}` });

test('a request with an operation token is that of its user, and may be large', async (t) => {
  const { node, url } = await open(t);
  const body = JSON.stringify({ operation: 'echo', text: 'x'.repeat(2 * MIB) });
  t.is((await post(url, body, BEARER('admin-operation'))).status, 200);
  t.is(node.executed[0]?.user?.username, 'admin');
});

test('SE-32: a refresh token is good for refresh_operation_token only, and for small bodies', async (t) => {
  const { node, url } = await open(t, {
    answers: { refresh_operation_token: (operation) => operation, echo: () => 'done' },
  });
  const refused = [401, '{"error":"invalid token"}'];
  t.deepEqual(
    await seen(await post(url, '{"operation":"echo"}', BEARER('admin-refresh'))),
    refused,
  );
  t.deepEqual(node.executed, []);
  const body = '{"operation":"refresh_operation_token","refresh_token":"another"}';
  t.deepEqual(await seen(await post(url, body, BEARER('admin-refresh'))), [
    200,
    '{"operation":"refresh_operation_token","refresh_token":"admin-refresh"}',
  ]);
  const large = JSON.stringify({ operation: 'refresh_operation_token', a: 'x'.repeat(MIB) });
  t.is((await post(url, large, BEARER('admin-refresh'))).status, 413);
});

test('add_user and alter_user speak of a user, and are no login of that user', async (t) => {
  const answers = { add_user: () => 'done', alter_user: () => 'done' };
  const { node, url } = await open(t, { answers });
  for (const operation of ['add_user', 'alter_user']) {
    const body = JSON.stringify({ operation, username: 'admin', password: 'secret' });
    t.deepEqual(await seen(await post(url, body)), [401, '{"error":"Must login"}']);
    const local = await open(t, { answers, authorizeLocal: true });
    t.is((await post(local.url, body)).status, 200);
    t.deepEqual(local.node.executed[0]?.operation, JSON.parse(body));
    t.is(local.node.executed[0]?.user?.username, 'local');
  }
  t.deepEqual(node.logins, []);
});

test('a refusal that has lists beside its message shows them', async (t) => {
  const details = { unauthorized_access: ['x'], invalid_schema_items: [] };
  const { url } = await open(t, {
    answers: {
      echo: () => {
        throw new SkeinError('FORBIDDEN', 'no', { details });
      },
    },
  });
  t.deepEqual(await seen(await post(url, '{"operation":"echo"}', ADMIN)), [
    403,
    JSON.stringify({ error: 'no', ...details }),
  ]);
});

test('the node is told the address of the socket, whatever the headers say', async (t) => {
  const { node, url } = await open(t);
  await post(url, '{"operation":"echo"}', { ...ADMIN, 'x-forwarded-for': '192.0.2.1' });
  await post(url, '{"operation":"echo","username":"admin","password":"secret"}');
  t.deepEqual(node.logins, [
    { username: 'admin', password: 'secret', address: '127.0.0.1' },
    { username: 'admin', password: 'secret', address: '127.0.0.1' },
  ]);
});

test('SE-29: credentials given twice are those that count for everything', async (t) => {
  const { node, url } = await open(t);
  const body =
    '{"operation":"echo","username":"reader","username":"admin","password":"x","password":"secret"}';
  t.is((await post(url, body)).status, 200);
  t.is(node.executed[0]?.user?.username, 'admin');
  t.deepEqual(node.executed[0]?.operation, { operation: 'echo' });
});

test('a 401 carries the Basic challenge', async (t) => {
  const { url } = await open(t);
  const response = await post(url, '{"operation":"echo"}');
  t.is(response.headers.get('www-authenticate'), 'Basic realm="Skein", charset="UTF-8"');
  t.is(response.headers.get('skein-error-code'), 'UNAUTHENTICATED');
});

test('authorizeLocal lets a loopback request without credentials act as super user', async (t) => {
  const { node, url } = await open(t, { authorizeLocal: true });
  t.is((await post(url, '{"operation":"echo"}')).status, 200);
  t.like(node.executed[0]?.user, { superUser: true });
});

test('authorizeLocal does not excuse wrong credentials', async (t) => {
  const { url } = await open(t, { authorizeLocal: true });
  const headers = { authorization: `Basic ${btoa('admin:wrong')}` };
  t.deepEqual(await seen(await post(url, '{"operation":"echo"}', headers)), [
    401,
    '{"error":"Login failed"}',
  ]);
});

for (const [header, value] of [
  ['x-forwarded-for', '10.1.2.3'],
  ['forwarded', 'for=10.1.2.3'],
  ['via', '1.1 proxy'],
  ['origin', 'http://evil.example'],
] as const) {
  test(`authorizeLocal does not count for a request with ${header}`, async (t) => {
    const { node, url } = await open(t, { authorizeLocal: true });
    // Plain HTTP, because fetch would not send some of these headers.
    const status = await new Promise((resolve, reject) => {
      const sent = request(url, { method: 'POST', headers: { ...JSON_TYPE, [header]: value } });
      sent
        .once('response', (response) => resolve(response.resume().statusCode))
        .once('error', reject);
      sent.end('{"operation":"echo"}');
    });
    t.is(status, 401);
    t.is(node.executed.length, 0);
  });
}

const padded = (bytes: number): string => {
  const empty = '{"operation":"echo","pad":""}';
  return empty.replace('""', `"${'x'.repeat(bytes - empty.length)}"`);
};

test('without an Authorization header exactly 1 MiB is read', async (t) => {
  const { url } = await open(t);
  t.deepEqual(await seen(await post(url, padded(MIB))), [401, '{"error":"Must login"}']);
  t.deepEqual(await seen(await post(url, padded(MIB + 1))), [
    413,
    '{"error":"Request body is larger than 1048576 bytes; with an Authorization header it may have 1073741824"}',
  ]);
});

test('a body without a length is cut at 1 MiB too', async (t) => {
  const { url } = await open(t);
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(url, { method: 'POST', headers: JSON_TYPE });
    sent
      .once('response', (response) => resolve(response.resume().statusCode))
      .once('error', reject);
    for (let written = 0; written <= MIB; written += chunk.length) {
      sent.write(chunk);
    }
  });
  t.is(status, 413);
});

test('with an Authorization header more than 1 MiB is read', async (t) => {
  const { url } = await open(t);
  const body = padded(3 * MIB);
  const response = await post(url, body, ADMIN);
  t.is(response.status, 200);
  t.is((await response.text()).length, body.length);
});

test('an authenticated body announced above 1 GiB is refused before it is sent', async (t) => {
  const { url } = await open(t);
  const { port } = new URL(url);
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    socket.setEncoding('utf8').once('error', reject);
    let text = '';
    socket.on('data', (chunk: string) => (text += chunk)).once('end', () => resolve(text));
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: ${ADMIN.authorization}\r\nContent-Length: ${limits.operationBodyBytesMax + 1}\r\n\r\n{`,
    );
  });
  t.regex(answer, /^HTTP\/1\.1 413 /);
  t.regex(answer, /Request body is larger than 1073741824 bytes/);
});

test('wrong credentials are refused before the body has arrived', async (t) => {
  const { url } = await open(t);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const headers = { ...JSON_TYPE, authorization: `Basic ${btoa('admin:wrong')}` };
    const sent = request(url, { method: 'POST', headers: { ...headers, 'content-length': 5000 } });
    sent
      .once('response', (response) => resolve(response.resume().statusCode))
      .once('error', reject);
    sent.write('{');
  });
  t.is(status, 401);
});

const STATUS_OF_CODE: readonly [ErrorCode, number][] = [
  ['INVALID_REQUEST', 400],
  ['NOT_FOUND', 404],
  ['ALREADY_EXISTS', 400],
  ['FORBIDDEN', 403],
  ['TRANSACTION_TOO_LARGE', 400],
  ['KEY_TOO_LONG', 400],
  ['OVERLOADED', 503],
  ['UNAVAILABLE', 503],
  ['OUTCOME_UNKNOWN', 500],
  ['STORAGE_FAILED', 500],
  ['TIMEOUT', 504],
];

for (const [code, status] of STATUS_OF_CODE) {
  test(`${code} is answered with ${status}, its message and its code`, async (t) => {
    const fail = (): never => {
      throw new SkeinError(code, 'why it failed');
    };
    const { url } = await open(t, { answers: { fail } });
    const response = await post(url, '{"operation":"fail"}', ADMIN);
    t.is(response.headers.get('skein-error-code'), code);
    t.deepEqual(await seen(response), [status, '{"error":"why it failed"}']);
  });
}

test('an unexpected error is answered with the default text and logged with the real one', async (t) => {
  const fail = (): never => {
    throw new Error('the cat ate the index');
  };
  const { url, lines } = await open(t, { answers: { fail } });
  t.deepEqual(await seen(await post(url, '{"operation":"fail"}', ADMIN)), [
    500,
    '{"error":"There was an error processing your request. Check logs and try again."}',
  ]);
  t.is(lines.length, 1);
  t.like(lines[0], { level: 'error', fields: { operation: 'fail', statusCode: 500 } });
  t.like(lines[0]?.fields['err'], { message: 'the cat ate the index' });
});

test('a refused request is one log line without the body', async (t) => {
  const { url, lines } = await open(t);
  await post(url, '{"operation":"sql","password":"secret"}', ADMIN);
  await post(url, '{"operation":"echo"}', ADMIN);
  t.is(lines.length, 1);
  t.like(lines[0], {
    level: 'warn',
    message: 'request refused',
    fields: { method: 'POST', path: '/', operation: 'sql', statusCode: 400 },
  });
  t.notRegex(JSON.stringify(lines), /secret/);
});

test('user_info is left to a node that answers it', async (t) => {
  const { url } = await open(t, {
    answers: { user_info: (_operation, user) => ({ me: user?.username }) },
  });
  t.deepEqual(await seen(await post(url, '{"operation":"user_info"}', ADMIN)), [
    200,
    '{"me":"admin"}',
  ]);
});

for (const [accept, type, body] of [
  ['application/json', 'application/json; charset=utf-8', '[{"id":1,"name":"Ada"}]'],
  ['application/yaml', 'application/yaml; charset=utf-8', '- id: 1\n  name: Ada\n'],
  ['text/csv', 'text/csv; charset=utf-8', 'id,name\n1,Ada\n'],
  ['text/plain', 'text/plain; charset=utf-8', '[\n  {\n    "id": 1,\n    "name": "Ada"\n  }\n]'],
] as const) {
  test(`Accept: ${accept} is answered in that format`, async (t) => {
    const { url } = await open(t, { answers: { give: () => [{ id: 1, name: 'Ada' }] } });
    const response = await post(url, '{"operation":"give"}', { ...ADMIN, accept });
    t.is(response.headers.get('content-type'), type);
    t.deepEqual(await seen(response), [200, body]);
  });
}

test('CSV is an attachment, its errors are not', async (t) => {
  const { url } = await open(t, { answers: { give: () => [] } });
  const headers = { ...ADMIN, accept: 'text/csv' };
  const good = await post(url, '{"operation":"give"}', headers);
  t.is(good.headers.get('content-disposition'), 'attachment; filename="data.csv"');
  const bad = await post(url, '{"operation":"sql"}', headers);
  t.is(bad.headers.get('content-disposition'), null);
  t.deepEqual(await seen(bad), [400, `{"error":"Operation 'sql' not found"}`]);
});

for (const [name, method, path, status, error] of [
  ['GET /', 'GET', '/', 404, 'GET / not found, operations are POSTed to /'],
  ['another path', 'POST', '/x?y=1', 404, 'POST /x not found, operations are POSTed to /'],
] as const) {
  test(`${name} is answered with ${status}`, async (t) => {
    const { url } = await open(t);
    const response = await fetch(`${url}${path}`, { method });
    t.deepEqual(await seen(response), [status, JSON.stringify({ error })]);
  });
}

test('no CORS header is sent', async (t) => {
  const { url } = await open(t);
  const response = await post(url, '{"operation":"echo"}', { ...ADMIN, origin: 'http://other' });
  t.deepEqual(
    [...response.headers.keys()].filter((name) => name.startsWith('access-control')),
    [],
  );
});

test('the signal is aborted when the client goes away', async (t) => {
  const client = new AbortController();
  // Answers only when it is told to stop, and makes the client leave as soon as it runs.
  const wait = (): Promise<void> =>
    new Promise((resolve) => {
      node.signals[0]?.addEventListener('abort', () => resolve());
      client.abort();
    });
  const { node, url } = await open(t, { answers: { wait } });
  const sent = fetch(url, {
    method: 'POST',
    body: '{"operation":"wait"}',
    headers: { ...JSON_TYPE, ...ADMIN },
    signal: client.signal,
  });
  t.is(await sent.then(() => 'answered', String), 'AbortError: This operation was aborted');
  t.true(await waitUntil('the abort', () => node.signals[0]?.aborted));
});

test('a port in use is named in the error', async (t) => {
  const { url } = await open(t);
  const port = Number(new URL(url).port);
  const node = fakeNode({ listen: { operationsApi: { listen: { host: '127.0.0.1', port } } } });
  await t.throwsAsync(() => startOperationsApi(node), {
    message: `operationsApi.network.port: cannot listen on ${url}: another program listens there`,
  });
});

test('close lets go of idle connections and of the port', async (t) => {
  const door = await startOperationsApi(fakeNode());
  await (await fetch(`${door.address}/health`)).text();
  await door.close();
  await t.throwsAsync(() => fetch(`${door.address}/health`));
});
