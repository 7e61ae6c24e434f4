/** Serial numbers that routes revoke at run time: cluster_set_routes and cluster_delete_routes on real processes over TLS. */
import { X509Certificate } from 'node:crypto';
import test from 'ava';
import { ADMIN, startCluster, type ClusterNode } from '../support/cluster.js';
import { addNode, fullMesh, statusOf } from '../support/memberViews.js';
import { waitUntil } from '../support/waitUntil.js';

const JOINING = { verify_tls: false, authorization: ADMIN };

/** Of the certificate that it had signed when it joined. */
const serialOf = async (node: ClusterNode): Promise<string> => {
  const [row] = (await node.client.send({
    operation: 'search_by_id',
    database: 'system',
    table: 'hdb_certificate',
    ids: [`${node.name}-replication`],
    get_attributes: ['certificate'],
  })) as { certificate: string }[];
  return new X509Certificate(row?.certificate ?? '').serialNumber;
};

test.serial(
  'SE-12 a route that revokes a serial number closes the live link, and lets in again when it is gone',
  async (t) => {
    const cluster = await startCluster({ nodes: 2, apart: true, secure: true });
    t.teardown(() => cluster.close());
    const [door, guest] = [cluster.node(0), cluster.node(1)];
    if (!door || !guest) throw new Error('two nodes were started');
    await addNode(guest, door, JOINING);
    await fullMesh(cluster.nodes);
    const serial = await serialOf(guest);
    const spelled = `0x00:${serial.toLowerCase()}`;
    const route = { hostname: guest.name, url: guest.replicationUrl };
    await door.client.send({
      operation: 'cluster_set_routes',
      routes: [{ ...route, revokedCertificates: [spelled] }],
    });
    await waitUntil('both to say why there is no link', async () => {
      const statuses = [await statusOf(door), await statusOf(guest)];
      return statuses.every(({ connections: [other] }) =>
        other?.reason?.includes(`the certificate with the serial number ${serial} was revoked`),
      );
    });
    t.true((await door.configText()).includes(spelled));
    await door.client.send({ operation: 'cluster_delete_routes', routes: [route] });
    await fullMesh(cluster.nodes);
  },
);
