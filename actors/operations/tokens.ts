/**
 * create_authentication_tokens and refresh_operation_token, with the documented answers. Called by run.ts. Everybody may
 * have tokens for themselves; the latest refresh token of a user is the only one that counts.
 */
import { invalidRequest } from '../../protocol/errors.js';
import type { RecordObject, User } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import { hashToken, invalidToken } from '../../security/tokens.js';
import { notesOf, type OperationContext } from './context.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

/** For the user named with a password, else for who asks. UNAUTHENTICATED for a wrong password. */
export const createTokens = async (
  context: OperationContext,
  operation: Operation<'create_authentication_tokens'>,
): Promise<RecordObject> => {
  const user = await tokenUser(context, operation);
  return context.users.change(async () => {
    const [operationToken, refreshToken] = await Promise.all([
      context.users.issueToken(user, 'operation'),
      context.users.issueToken(user, 'refresh'),
    ]);
    const hash = hashToken(refreshToken);
    const notes = notesOf(context, operation.operation);
    await context.users.keepRefreshToken(user.username, hash, notes);
    return { operation_token: operationToken, refresh_token: refreshToken };
  });
};

/** UNAUTHENTICATED for anything but the latest refresh token of its user. */
export const refreshToken = async (
  context: OperationContext,
  { refresh_token }: Operation<'refresh_operation_token'>,
): Promise<RecordObject> => {
  const { user, kind } = await context.users.authenticateToken(refresh_token);
  if (kind !== 'refresh') throw invalidToken();
  return { operation_token: await context.users.issueToken(user, 'operation') };
};

const tokenUser = async (
  context: OperationContext,
  { username, password }: Operation<'create_authentication_tokens'>,
): Promise<User> => {
  if (username !== undefined && password !== undefined)
    return context.users.authenticate({ username, password, ...context.from });
  if (username !== undefined || password !== undefined)
    throw invalidRequest("'username' and 'password' must be given together");
  if (context.user && (await context.users.find(context.user.username))) return context.user;
  throw invalidRequest("'username' is required. 'password' is required");
};
