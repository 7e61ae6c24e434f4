/** The debug endpoint of nodes that hold keys, passwords and tokens: none of these stands in any form of the tree. */
import test from 'ava';
import { freePort } from '../support/cluster.js';
import { JOINING, meshed, startSecure, USER } from '../support/secureNodes.js';

test('SE-33 no secret stands in the supervision tree, its dead letters or its page', async (t) => {
  const port = await freePort('127.0.0.1');
  const one = await startSecure(t, 'server-one');
  const two = await startSecure(t, 'server-two', { debug: { port: `127.0.0.1:${port}` } });
  await two.send({
    operation: 'add_node',
    url: one.url,
    hostname: 'server-one',
    ...JOINING,
    retain_authorization: true,
  });
  await meshed([one, two]);
  const password = 'swordfish of a user';
  await two.send({ operation: 'add_user', username: 'ada', password, role: 'super_user' });
  const tokens = (await two.node.send({
    operation: 'create_authentication_tokens',
    username: 'ada',
    password,
  } as never)) as Record<string, string>;
  const login = { operation: 'create_authentication_tokens', username: 'ada' };
  await t.throwsAsync(two.send({ ...login, password: 'a wrong guess' }));
  const basic = Buffer.from(`${USER.username}:${USER.password}`).toString('base64');
  const secrets = [password, 'a wrong guess', USER.password, basic, 'PRIVATE KEY', 'BEGIN CERT'];
  secrets.push(...Object.values(tokens).filter((token) => token.length > 40));
  t.true(secrets.length >= 8);
  for (const path of [
    '/debug/actors',
    '/debug/actors?format=text',
    '/debug/actors?format=dot',
    '/',
  ]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    const text = await response.text();
    t.is(response.status, 200);
    if (path !== '/') t.true(text.includes('server-one'), path);
    for (const secret of secrets) t.false(text.includes(secret), `${path} has ${secret}`);
  }
});
