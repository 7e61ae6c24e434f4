/** What revocation checks survive and what they spare, between real nodes: crashes of their actor, many handshakes. */
import test, { type ExecutionContext } from 'ava';
import { issue, makeAuthority, writeList } from '../support/testAuthority.js';
import {
  linked,
  NOWHERE,
  parted,
  serveAnswers,
  startCertified,
  type AnswerServer,
  type Identity,
} from '../support/certifiedNodes.js';
import { actorAt } from '../support/embedded.js';
import { connectionsOf, type SecureNode } from '../support/secureNodes.js';
import { waitUntil } from '../support/waitUntil.js';

const GUEST = '2A';
const REVOKED = /the certificate with the serial number 2A was revoked/;
const ACTOR = '/cluster/revocation';
const PEER = '/cluster/peers/peer:server-two';
/** Lists are asked for again every second. */
const QUICK = { crl: { cacheTtl: 1_000 }, ocsp: { errorCacheTtl: 1_000 } };

interface Scene {
  readonly server: AnswerServer;
  readonly publish: (...serials: string[]) => void;
  /** Accepts, and knows where the other is only if told. */
  readonly door: SecureNode;
  /** Dials; its certificate names the list. */
  readonly guest: SecureNode;
}

const open = async (
  t: ExecutionContext,
  options: {
    verification?: boolean | Readonly<Record<string, unknown>>;
    revokedByRoute?: string[];
  } = {},
): Promise<Scene> => {
  const { verification = true, revokedByRoute = [] } = options;
  const authority = makeAuthority();
  const server = await serveAnswers(t);
  const publish: Scene['publish'] = (...serials) => {
    const list = writeList(authority, { entries: serials.map((serial) => ({ serial })) });
    server.paths.set('/list', async () => list);
  };
  publish();
  const identity = (subject: string, serial: string, lists?: readonly string[]): Identity => {
    const made = issue(authority, { subject, serial, ...(lists && { lists }) });
    return {
      authority: authority.certificate.toString(),
      certificate: made.certificate.toString(),
      key: made.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  };
  const door = await startCertified(t, 'server-one', {
    identity: identity('server-one', '11'),
    verification,
    routes: [{ hostname: 'server-two', url: NOWHERE, revokedCertificates: revokedByRoute }],
  });
  const guest = await startCertified(t, 'server-two', {
    identity: identity('server-two', GUEST, [`${server.url}/list`]),
    verification,
    routes: [{ hostname: 'server-one', url: door.url }],
  });
  return { server, publish, door, guest };
};

const isLinked = async (node: SecureNode): Promise<boolean> =>
  (await connectionsOf(node)).some(({ connected }) => connected);

const crash = ({ node }: SecureNode, path: string): boolean =>
  node.system.crash(path, new Error('crashed by a test'));

test('the revocation actor crashes without a link noticing, and its next life watches the certificates of links', async (t) => {
  const { door, guest, publish } = await open(t, { verification: QUICK });
  await linked(door, guest);
  t.true(crash(door, ACTOR));
  await waitUntil('a new life', () => {
    const { life, state } = actorAt(door.node, ACTOR);
    return life === 2 && state === 'running';
  });
  t.true(await isLinked(door));
  t.is(door.log().split('"disconnected"').length, 1);
  publish(GUEST);
  await parted(door, 'server-two', REVOKED);
  await parted(guest, 'server-one', REVOKED);
});

test('the list is asked for once for many handshakes, and again when it is due', async (t) => {
  const { door, guest, server } = await open(t);
  await linked(door, guest);
  for (let life = 2; life <= 4; life++) {
    t.true(crash(door, PEER));
    await waitUntil(
      `life ${life} to have a link`,
      async () => actorAt(door.node, PEER).life === life && isLinked(door),
    );
  }
  t.is(server.asked.get('/list'), 1);
  const { details } = actorAt(door.node, ACTOR);
  t.like(details, { fetches: 1, refused: 0, unknown: 0, held: 1 });
  t.true(Number(details['checks']) >= 4);
  t.true(Number(details['cached']) >= 3);
  t.true(Date.parse(String(details['nextDue'])) > Date.now() + 3_600_000);
});

test('SE-12: the node that refuses by a serial number says so in its status, though it cannot dial the other', async (t) => {
  const { door, guest } = await open(t, { revokedByRoute: ['0x00:2a'] });
  await parted(guest, 'server-one', REVOKED);
  await parted(door, 'server-two', REVOKED);
  t.false(await isLinked(door));
});
