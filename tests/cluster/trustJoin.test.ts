/**
 * Nodes that have never heard of each other become a cluster over TLS with one operation each, and nothing of what that took
 * is left anywhere. Real processes and directories.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ADMIN, startCluster, type ClusterNode } from '../support/cluster.js';
import { createNotes, haveNotes, note } from '../support/memberRecords.js';
import { addNode, fullMesh } from '../support/memberViews.js';

const JOINING = { verify_tls: false, authorization: ADMIN };

/** Every file below, whatever is in it. */
const filesBelow = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** Files and logs of a node that hold one of the texts. */
const placesOf = async (node: ClusterNode, texts: readonly string[]): Promise<string[]> => {
  const held = async (path: string): Promise<boolean> => {
    const bytes = await readFile(path);
    return texts.some((text) => bytes.includes(text));
  };
  const files = await filesBelow(node.rootPath);
  const found = await Promise.all(files.map(async (path) => ((await held(path)) ? [path] : [])));
  const log = await node.log();
  return [...found.flat(), ...(texts.some((text) => log.includes(text)) ? ['the log'] : [])];
};

test.serial(
  'three fresh nodes become a cluster over TLS, and still are one after a restart of all',
  async (t) => {
    const cluster = await startCluster({ nodes: 3, apart: true, secure: true });
    t.teardown(() => cluster.close());
    const [a, b, c] = [0, 1, 2].map((index) => cluster.node(index));
    if (!a || !b || !c) throw new Error('three nodes were started');
    await createNotes(a);
    await note(a, 'before');
    t.is(await addNode(b, a, JOINING), `Successfully added '${a.name}' to cluster`);
    t.is(await addNode(c, b, JOINING), `Successfully added '${b.name}' to cluster`);
    await fullMesh(cluster.nodes);
    await haveNotes(cluster.nodes, ['before']);
    for (const node of cluster.nodes) await node.stop();
    for (const node of cluster.nodes) await node.launch();
    await Promise.all(cluster.nodes.map((node) => node.ready()));
    await fullMesh(cluster.nodes);
    await note(c, 'after');
    await haveNotes(cluster.nodes, ['before', 'after']);

    const { username, password } = ADMIN;
    const encoded = Buffer.from(`${username}:${password}`).toString('base64');
    // What is searched for would be found.
    t.true((await readFile(a.configFile)).includes(password));
    for (const node of cluster.nodes)
      t.deepEqual(await placesOf(node, [password, encoded, encoded.slice(0, -2)]), [], node.name);
  },
);
