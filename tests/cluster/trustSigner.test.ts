/** A signer that fails for good takes nothing with it but what only it can do. Real processes. */
import test from 'ava';
import { ADMIN, startCluster } from '../support/cluster.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import { addNode, fullMesh } from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

const JOINING = { verify_tls: false, authorization: ADMIN };

test.serial(
  'without its signer a node keeps its links, makes new ones, and says that nobody can be signed',
  async (t) => {
    const cluster = await startCluster({ nodes: 3, apart: true, secure: true, firstAddress: 12 });
    t.teardown(() => cluster.close());
    const [a, b, c] = [0, 1, 2].map((index) => cluster.node(index));
    if (!a || !b || !c) throw new Error('three nodes were started');
    t.is(await addNode(b, a, JOINING), `Successfully added '${a.name}' to cluster`);
    await fullMesh([a, b]);
    await createNotes(a);
    const signer = async () => {
      const { actors } = await a.client.tree();
      return actors.flatMap(({ children }) => children).find(({ path }) => path.endsWith('signer'));
    };
    for (let life = 1; life <= 4; life++) {
      await waitUntil(
        `life ${life} of the signer`,
        async () => {
          const now = await signer();
          return now?.life === life && now.state === 'running';
        },
        20_000,
      );
      t.is((await a.client.crash('/cluster/signer')).status, 202);
    }
    await waitUntil(
      'the signer to be given up',
      async () => (await signer())?.state === 'failed',
      20_000,
    );
    await note(b, 'while it is away');
    await haveNotes([a, b], ['while it is away']);
    const error = await t.throwsAsync(addNode(c, a, JOINING));
    t.regex(String(error), /certificates can be neither asked for nor signed/);
    t.regex(String(error), /PEER_REFUSED|SIGNER_UNAVAILABLE/);
    const asked = await t.throwsAsync(addNode(a, c, JOINING));
    t.regex(String(asked), /503 SIGNER_UNAVAILABLE/);
    // Links that break are made again with what was shown and trusted last.
    await b.kill();
    await b.start();
    await fullMesh([a, b]);
    t.is(await addNode(c, b, JOINING), `Successfully added '${b.name}' to cluster`);
  },
);
