/**
 * Users of the operations API, kept in `system`: checks a login, makes the first user. Used by clusterSupervisor.
 */
import { SkeinError } from '../protocol/errors.js';
import type { RecordObject, User } from '../protocol/operations.js';
import { generatePassword, hashPassword, verifyPassword } from '../security/credentials.js';
import type { Config } from '../config/types.js';
import type { Reply } from './kernel/types.js';
import type { RouterMessage } from './messages.js';

/** Asks the writer of the `system` database. */
export type AskSystem = <T>(question: (replyTo: Reply<T>) => RouterMessage) => Promise<T>;

/** UNAUTHENTICATED with one answer for every failure: nothing tells whether the user exists. */
export const authenticate = async (
  askSystem: AskSystem,
  credentials: { username: string; password: string },
): Promise<User> => {
  const user =
    credentials.username === '' ? undefined : await readUser(askSystem, credentials.username);
  const stored = typeof user?.password === 'string' ? user.password : UNKNOWN_USER;
  if (!(await verifyPassword(credentials.password, stored)) || !user)
    throw new SkeinError('UNAUTHENTICATED', 'Login failed');
  if (user.active === false)
    throw new SkeinError('UNAUTHENTICATED', 'Cannot complete request: User is inactive');
  return {
    username: credentials.username,
    active: true,
    role: String(user.role),
    superUser: user.role === SUPER_USER,
  };
};

/** Nodes that open the operations API have a user from their first start on. */
export const ensureFirstUser = async (
  askSystem: AskSystem,
  config: Config,
  passwordGenerated: (username: string, password: string) => void,
): Promise<void> => {
  const { authentication, operationsApi } = config;
  if (!operationsApi.listen && authentication.adminPassword === undefined) return;
  const users = await askSystem<RecordObject[]>((replyTo) => ({
    type: 'records.search',
    table: 'hdb_user',
    query: { operator: 'and', conditions: [], limit: 1 },
    replyTo,
  }));
  if (users.length > 0) return;
  const username = authentication.adminUsername ?? 'admin';
  const password = authentication.adminPassword ?? generatePassword();
  await putUser(askSystem, username, password);
  if (authentication.adminPassword === undefined) passwordGenerated(username, password);
};

const readUser = async (
  askSystem: AskSystem,
  username: string,
): Promise<RecordObject | undefined> => {
  const [user] = await askSystem<(RecordObject | undefined)[]>((replyTo) => ({
    type: 'records.get',
    table: 'hdb_user',
    keys: [username],
    replyTo,
  }));
  return user;
};

const putUser = async (askSystem: AskSystem, username: string, password: string): Promise<void> => {
  const record = {
    username,
    password: await hashPassword(password),
    role: SUPER_USER,
    active: true,
    hash_function: 'scrypt',
  };
  await askSystem((replyTo) => ({
    type: 'transaction.submit',
    writes: [{ table: 'hdb_user', type: 'put', records: [record] }],
    notes: { operation: 'add_user' },
    replyTo,
  }));
};

const SUPER_USER = 'super_user';

/** Checked in place of a user that does not exist, so that both answers take as long. */
const UNKNOWN_USER = `scrypt$16384$8$1$${'A'.repeat(24)}$${'A'.repeat(44)}`;
