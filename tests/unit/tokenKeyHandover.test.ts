/** To whom the keys of tokens are given, and who takes them. */
import test from 'ava';
import type { MembershipView } from '../../actors/messages.js';
import type { OperationContext } from '../../actors/operations/context.js';
import type { AddNodeBack, JoinAnswer } from '../../actors/operations/joining.js';
import {
  asksForTokenKeys,
  takeTokenKeys,
  tokenKeysFor,
} from '../../actors/operations/tokenKeyHandover.js';
import { PeerRefused } from '../../actors/peerOperation.js';
import { TokenKeys } from '../../actors/tokenKeys.js';
import type { Proven } from '../../actors/transport/types.js';
import { nodeName } from '../../protocol/ids.js';
import { SkeinError } from '../../protocol/errors.js';

const contextWith = (tokenKeys: Pick<TokenKeys, 'texts' | 'replace'>): OperationContext =>
  ({ tokenKeys, log: { warn: () => undefined } }) as unknown as OperationContext;

const newKeys = (): TokenKeys =>
  new TokenKeys({ directory: null, log: {} as never, isMadeAtFirstUse: false });

const body = (wants: boolean): AddNodeBack => ({
  operation: 'add_node_back',
  hostname: 'server-two',
  url: null,
  generations: {},
  ...(wants && { wants_token_keys: true }),
});

test('keys are given over TLS, for credentials, to who asks, and to nobody else', async (t) => {
  const keys = newKeys();
  const context = contextWith(keys);
  const tls: Proven = { kind: 'unproven', reason: 'no certificate was shown', claims: null };
  const plain: Proven = { kind: 'address', name: nodeName('127.0.0.2') };
  const authorization = 'Basic eA==';
  t.deepEqual(await tokenKeysFor(context, { proven: tls, authorization }, body(true)), {
    tokenKeys: await keys.texts(),
  });
  t.deepEqual(await tokenKeysFor(context, { proven: plain, authorization }, body(true)), {});
  t.deepEqual(await tokenKeysFor(context, { proven: tls }, body(true)), {});
  t.deepEqual(await tokenKeysFor(context, { proven: tls, authorization }, body(false)), {});
});

test('a node whose keys are missing takes others in all the same', async (t) => {
  const context = contextWith({
    texts: () => Promise.reject(new SkeinError('STORAGE_FAILED', 'no keys')),
    replace: () => Promise.reject(new Error('not asked')),
  });
  const tls: Proven = { kind: 'unproven', reason: '', claims: null };
  t.deepEqual(await tokenKeysFor(context, { proven: tls, authorization: 'Basic' }, body(true)), {});
});

test('who is a member, has no TLS or gives no credentials asks for no keys', (t) => {
  const asks = (standing: string, url: string, authorization?: string): boolean =>
    asksForTokenKeys({ standing } as MembershipView, { url, authorization });
  t.true(asks('alone', 'wss://a', 'Basic'));
  t.true(asks('removed', 'wss://a', 'Basic'));
  t.false(asks('member', 'wss://a', 'Basic'));
  t.false(asks('alone', 'ws://a', 'Basic'));
  t.false(asks('alone', 'wss://a'));
});

test('keys that are none are refused, and those of before stay', async (t) => {
  const keys = newKeys();
  const before = await keys.texts();
  const tokenKeys = { ...before, publicKey: (await newKeys().texts()).publicKey };
  const answer: JoinAnswer = { nodeName: 'server-one', generations: {}, tokenKeys };
  await t.throwsAsync(takeTokenKeys(contextWith(keys), answer), { instanceOf: PeerRefused });
  t.deepEqual(await keys.texts(), before);
});
