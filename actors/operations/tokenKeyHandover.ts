/**
 * A node that joins takes over the keys that sign tokens, so that the tokens of one member count on all. Used by both ends of
 * add_node. Only over TLS, only for the credentials of a super user, and never to a node that did not ask.
 */
import { messageOf, SkeinError } from '../../protocol/errors.js';
import type { TokenKeyTexts } from '../../security/tokens.js';
import type { MembershipView } from '../messages.js';
import { PeerRefused } from '../peerOperation.js';
import type { Proven } from '../transport/types.js';
import type { OperationContext } from './context.js';
import type { AddNodeBack, JoinAnswer } from './joining.js';

/** A member keeps the keys that it shares with others. */
export const asksForTokenKeys = (
  { standing }: MembershipView,
  { url, authorization }: { url: string; authorization: string | undefined },
): boolean => standing !== 'member' && url.startsWith('wss:') && authorization !== undefined;

/** What goes into the answer; `authorization` was found to be that of a super user. Nothing when this node has no keys. */
export const tokenKeysFor = async (
  context: OperationContext,
  { proven, authorization }: { proven: Proven; authorization?: string },
  { wants_token_keys: isAsked }: AddNodeBack,
): Promise<{ tokenKeys?: TokenKeyTexts }> => {
  // Without TLS a connection proves an address.
  if (isAsked !== true || proven.kind === 'address' || authorization === undefined) return {};
  try {
    return { tokenKeys: await context.tokenKeys.texts() };
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== 'STORAGE_FAILED') throw error;
    context.log.warn({ reason: error.message }, 'a node joins without the keys of tokens');
    return {};
  }
};

/** From now on tokens of this node's own keys do not count. PeerRefused for keys that are none. */
export const takeTokenKeys = async (
  context: OperationContext,
  { tokenKeys }: JoinAnswer,
): Promise<void> => {
  if (tokenKeys === undefined) return;
  try {
    await context.tokenKeys.replace(tokenKeys);
  } catch (error) {
    if (error instanceof SkeinError && error.code === 'INVALID_REQUEST')
      throw new PeerRefused('MALFORMED', messageOf(error));
    throw error;
  }
};
