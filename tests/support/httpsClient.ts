/**
 * One request over HTTPS, or one TLS handshake, as a client that is no node would make it. Called by the tests of own
 * certificates. Follows nothing, keeps nothing open.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { connect, type ConnectionOptions } from 'node:tls';
import type { IncomingMessage } from 'node:http';
import type { KeyedCertificate } from './certificates.js';

export interface HttpsClient {
  readonly ca: string;
  /** Name that is asked for and that the server's certificate must have. */
  readonly serverName: string;
  readonly shown?: KeyedCertificate;
  /** `user:password`. */
  readonly basic?: string;
}

/** Status and parsed body. Rejects with the error of TLS or of the socket. */
export const postOver = async (
  url: string,
  operation: Record<string, unknown>,
  { ca, serverName, shown, basic }: HttpsClient,
): Promise<{ status: number; body: Record<string, unknown> }> => {
  const sent = request(url, {
    method: 'POST',
    agent: false,
    ca,
    servername: serverName,
    headers: {
      'content-type': 'application/json',
      ...(basic !== undefined && {
        authorization: `Basic ${Buffer.from(basic).toString('base64')}`,
      }),
    },
    ...(shown && { cert: shown.certificate, key: shown.key }),
  });
  sent.end(JSON.stringify(operation));
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  const body = JSON.parse(await text(answer)) as Record<string, unknown>;
  return { status: answer.statusCode ?? 0, body };
};

/** The certificate that is shown to whoever asks for that name; nothing is verified. */
export const shownAt = async (
  place: { address: string; port: number },
  serverName: string,
  more: ConnectionOptions = {},
): Promise<X509Certificate> => {
  const { address: host, port } = place;
  const socket = connect({
    host,
    port,
    servername: serverName,
    rejectUnauthorized: false,
    ...more,
  });
  try {
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) throw new Error('a server shows a certificate');
    return certificate;
  } finally {
    socket.destroy();
  }
};

/** Address and port of a door. */
export const placeOf = (url: string): { address: string; port: number } => {
  const { hostname, port } = new URL(url);
  return { address: hostname, port: Number(port) };
};
