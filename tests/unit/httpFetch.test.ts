/** Fetching over HTTP: what is sent, and that time, bytes and redirects are bounded. Real servers on loopback. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { limits } from '../../protocol/limits.js';
import { httpFetch } from '../../security/httpFetch.js';
import type { FetchRequest } from '../../security/revocationPorts.js';

const get: FetchRequest = { method: 'GET', headers: {}, timeoutMs: 20_000, bytesMax: 1000 };

async function serve(t: ExecutionContext, listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
};

test('status and bytes come back', async (t) => {
  const url = await serve(t, (request, response) => {
    t.is(request.headers['user-agent'], 'Skein/1 CRL-Client');
    response.writeHead(404).end(Buffer.from([1, 2, 255]));
  });
  const answer = await httpFetch(`${url}/list.crl`, {
    ...get,
    headers: { 'user-agent': 'Skein/1 CRL-Client' },
  });
  t.deepEqual(answer, { status: 404, bytes: Uint8Array.from([1, 2, 255]) });
});

test('a body is posted with its length and its kind', async (t) => {
  const url = await serve(t, (request, response) => {
    t.is(request.method, 'POST');
    t.is(request.headers['content-type'], 'application/ocsp-request');
    t.is(request.headers['content-length'], '3');
    void bodyOf(request).then((body) => response.end(body));
  });
  const answer = await httpFetch(url, {
    ...get,
    method: 'POST',
    body: Uint8Array.from([7, 8, 9]),
    headers: { 'content-type': 'application/ocsp-request' },
  });
  t.deepEqual([...answer.bytes], [7, 8, 9]);
});

test('exactly as many bytes as are allowed are taken, and not one more', async (t) => {
  let length = get.bytesMax;
  const url = await serve(t, (_, response) => response.end(Buffer.alloc(length)));
  t.is((await httpFetch(url, get)).bytes.length, length);
  length += 1;
  await t.throwsAsync(httpFetch(url, get), {
    code: 'UNAVAILABLE',
    message: /answers more than 1000 bytes/,
  });
});

test('an answer without end is given up', async (t) => {
  const url = await serve(t, (_, response) => {
    const more = (): void => {
      while (response.write(Buffer.alloc(16_384)));
    };
    response.on('drain', more);
    more();
  });
  await t.throwsAsync(httpFetch(url, get), { message: /answers more than 1000 bytes/ });
});

test('a server that does not answer, or not to the end, is given up in time', async (t) => {
  const silent = await serve(t, () => {});
  const slow = await serve(t, (_, response) => void response.write('begin'));
  for (const url of [silent, slow])
    await t.throwsAsync(httpFetch(url, { ...get, timeoutMs: 50 }), {
      code: 'TIMEOUT',
      message: /no answer within 50 ms/,
    });
});

test('an answer that is cut short is none', async (t) => {
  const url = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('begin', () => response.destroy());
  });
  await t.throwsAsync(httpFetch(url, get), { code: 'UNAVAILABLE' });
});

test('a time beyond what timers can do is a long time', async (t) => {
  const url = await serve(t, (_, response) => response.end('x'));
  t.is((await httpFetch(url, { ...get, timeoutMs: 2 ** 40 })).status, 200);
});

test('redirects are followed, so many and no more', async (t) => {
  const url = await serve(t, ({ url: path = '' }, response) => {
    const left = Number(path.slice(1));
    if (left === 0) response.end('here');
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const answer = await httpFetch(`${url}/${limits.revocationRedirectsMax}`, get);
  t.is(Buffer.from(answer.bytes).toString(), 'here');
  await t.throwsAsync(httpFetch(`${url}/${limits.revocationRedirectsMax + 1}`, get), {
    code: 'UNAVAILABLE',
    message: /redirects more than 3 times/,
  });
});

test('a question is asked again elsewhere only when it is to stay a question', async (t) => {
  let status = 307;
  const url = await serve(t, (request, response) => {
    if (request.url === '/') response.writeHead(status, { location: '/there' }).end();
    else void bodyOf(request).then((body) => response.end(`${request.method} ${body.toString()}`));
  });
  const post = { ...get, method: 'POST', body: Buffer.from('who') } as const;
  t.is(Buffer.from((await httpFetch(`${url}/`, post)).bytes).toString(), 'POST who');
  status = 302;
  await t.throwsAsync(httpFetch(`${url}/`, post), { message: /redirects a question to a page/ });
});

const elsewhere = [
  'file:///etc/passwd',
  'ftp://127.0.0.1/',
  'javascript:1',
  'http://u@127.0.0.1/',
  'http://:p@127.0.0.1/',
  '',
];

for (const target of elsewhere)
  test(`a redirect to '${target}' is refused`, async (t) => {
    const url = await serve(t, (_, response) =>
      response.writeHead(302, { location: target }).end(),
    );
    await t.throwsAsync(httpFetch(url, get), { code: 'UNAVAILABLE', message: /address/ });
  });

for (const url of ['ldap://127.0.0.1/cn=x', 'file:///etc/passwd', 'nonsense', ''])
  test(`'${url}' is not fetched`, async (t) => {
    await t.throwsAsync(httpFetch(url, get), {
      code: 'UNAVAILABLE',
      message: /not an http or https address/,
    });
  });

test('a port where nobody listens is unavailable', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  await t.throwsAsync(httpFetch(`http://127.0.0.1:${port}/`, get), {
    code: 'UNAVAILABLE',
    message: /ECONNREFUSED/,
  });
});

test('no connection stays open behind a fetch', async (t) => {
  const url = await serve(t, (request, response) => {
    t.is(request.headers.connection, 'close');
    response.end('x');
  });
  t.is((await httpFetch(url, get)).status, 200);
});
