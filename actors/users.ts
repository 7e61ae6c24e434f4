/**
 * Who is who on this node: logins, tokens, the first user, and the changes of users and roles one after the other. Kept
 * by clusterSupervisor; the rows are in `system` and replicate with it. They are read for every login, so that what
 * changes on another node counts here as soon as it has arrived.
 */
import type { X509Certificate } from 'node:crypto';
import { SkeinError } from '../protocol/errors.js';
import type { RecordObject, User } from '../protocol/operations.js';
import { limits } from '../protocol/limits.js';
import { NO_RIGHTS } from '../protocol/permissions.js';
import { commonNameOf, detailsOf } from '../security/certificates.js';
import { generatePassword, hashPassword, verifyPassword } from '../security/credentials.js';
import {
  hashToken,
  invalidToken,
  readToken,
  signToken,
  type TokenKind,
} from '../security/tokens.js';
import type { Accepted } from '../storage/commit.js';
import type { LocalWrite } from '../storage/evaluate.js';
import type { Config } from '../config/types.js';
import { isWellFormed } from '../protocol/bytes.js';
import type { EntryNotes } from '../protocol/entry.js';
import type { Environment } from './environment.js';
import type { Reply } from './kernel/types.js';
import { takesOperations } from './listener.js';
import { LoginCache } from './loginCache.js';
import { LoginPace } from './loginPace.js';
import type { RouterMessage } from './messages.js';
import type { TokenKeys } from './tokenKeys.js';
import {
  firstUserOf,
  firstUserRecord,
  roleOf,
  ROLES,
  SUPER_USER,
  SUPER_USER_ROLE,
  userOf,
  USERS,
  wholeRecord,
  type RoleRow,
  type UserRow,
} from './userRows.js';

/** Asks the writer of the `system` database. */
export type AskSystem = <T>(question: (replyTo: Reply<T>) => RouterMessage) => Promise<T>;

export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** Where the login comes from; absent: from the program that the node is a part of. */
  readonly address?: string;
}

/** Whom a token stands for, and what it is good for. */
export interface TokenBearer {
  readonly user: User;
  readonly kind: TokenKind;
}

export interface UserDirectoryParts {
  readonly ask: AskSystem;
  readonly config: Config;
  readonly environment: Pick<Environment, 'now' | 'setTimer' | 'randomId'>;
  readonly tokenKeys: TokenKeys;
}

export class UserDirectory {
  readonly #parts: UserDirectoryParts;
  readonly #logins: LoginCache;
  readonly #pace: LoginPace;
  /** Settles when the last change that was asked for is done. */
  #changing: Promise<unknown> = Promise.resolve();
  #changesWaiting = 0;
  /** There is or was a user beside first users; these never count again in this run. */
  #isSettled = false;

  constructor(parts: UserDirectoryParts) {
    const { config, environment } = parts;
    this.#parts = parts;
    this.#pace = new LoginPace(environment);
    this.#logins = new LoginCache({
      ttlMs: config.authentication.cacheTtlMs,
      now: environment.now,
      verify: verifyPassword,
    });
  }

  /**
   * UNAUTHENTICATED with one answer for every failure: nothing tells whether the user exists. TOO_MANY_LOGINS and
   * OVERLOADED after many failures. At `authentication.cacheTTL` the password is checked anew.
   */
  async authenticate({ username, password, address = 'this program' }: Credentials): Promise<User> {
    const user = await this.find(username);
    const stored = user?.password ?? UNKNOWN_USER;
    const isKnown = this.#logins.knows(password, stored);
    return this.#pace.run({ username, address, isKnown }, async () => {
      if (!(await this.#logins.verify(password, stored)) || !user)
        throw new SkeinError('UNAUTHENTICATED', 'Login failed');
      return this.#admitted(user);
    });
  }

  /** UNAUTHENTICATED `invalid token` or `token expired`; what has been changed about the user since it was issued counts. */
  async authenticateToken(token: string): Promise<TokenBearer> {
    const { environment, tokenKeys } = this.#parts;
    const claims = await readToken(await tokenKeys.publicKey(), token, environment.now());
    const user = await this.find(claims.username);
    if (!user || user.series !== claims.series) throw invalidToken();
    if (claims.kind === 'refresh' && user.refreshToken !== hashToken(token)) throw invalidToken();
    return { user: await this.#admitted(user), kind: claims.kind };
  }

  /**
   * The user of a certificate that TLS has judged: `http.mtls.user`, else its common name. UNAUTHENTICATED for one that has
   * expired since, and when there is no such user.
   */
  async authenticateCertificate(certificate: X509Certificate): Promise<User> {
    const { config, environment } = this.#parts;
    const username = config.operationsApi.mtls?.user ?? commonNameOf(certificate.subject);
    const isValid = environment.now() < detailsOf(certificate).validToMs;
    const user = isValid && username !== undefined ? await this.find(username) : undefined;
    if (!user) throw new SkeinError('UNAUTHENTICATED', 'Login failed');
    return this.#admitted(user);
  }

  /** For a user that was authenticated. NOT_FOUND when it is none of this cluster. */
  async issueToken({ username, superUser }: User, kind: TokenKind): Promise<string> {
    const { authentication } = this.#parts.config;
    const user = await this.find(username);
    if (!user) throw new SkeinError('NOT_FOUND', `User ${username} does not exist`);
    return signToken(await this.#parts.tokenKeys.texts(), {
      username,
      superUser,
      kind,
      series: user.series,
      issuedMs: this.#parts.environment.now(),
      lifeMs:
        kind === 'operation' ? authentication.operationTokenMs : authentication.refreshTokenMs,
    });
  }

  async find(username: string): Promise<UserRow | undefined> {
    const record = await this.#read(USERS, username);
    const user = userOf(record);
    if (user) return user;
    const first = this.#isSettled ? undefined : firstUserOf(record);
    return first && (await this.users()).find((one) => one.username === username);
  }

  /** By id. */
  async findRole(id: string): Promise<RoleRow | undefined> {
    return id === SUPER_USER ? SUPER_USER_ROLE : roleOf(await this.#read(ROLES, id));
  }

  /** The first users of nodes are users until there are others. */
  async users(): Promise<UserRow[]> {
    const { users, firstUsers } = await this.#everybody();
    return this.#isSettled ? users : firstUsers;
  }

  /** The built-in one first. */
  async roles(): Promise<RoleRow[]> {
    const stored = (await this.#all(ROLES)).map(roleOf).filter((role) => role !== undefined);
    return [SUPER_USER_ROLE, ...stored];
  }

  /** One after the other on this node: each sees what the one before has written. OVERLOADED when too many wait. */
  async change<T>(work: () => Promise<T>): Promise<T> {
    if (this.#changesWaiting >= limits.userChangesWaitingMax)
      throw new SkeinError('OVERLOADED', 'Too many changes of users are waiting, try again later');
    this.#changesWaiting++;
    const turn = this.#changing.then(work).finally(() => this.#changesWaiting--);
    // Whoever asked is told of a failure; the next turn comes all the same.
    this.#changing = turn.catch(() => undefined);
    return turn;
  }

  /** What became of that write. With the first change of users, first users become users like others. */
  async write(write: LocalWrite, notes: EntryNotes): Promise<Accepted> {
    const settled = write.table === USERS ? await this.#settlingFirstUsers() : [];
    const accepted = await this.#submit([...settled, write], notes);
    return { ...accepted, results: accepted.results.slice(-1) };
  }

  /** Of all refresh tokens of a user this one counts. Settles nothing: whoever logs in changes no users. */
  async keepRefreshToken(username: string, hash: string, notes: EntryNotes): Promise<void> {
    const records = [{ username, refresh_token: hash }];
    await this.#submit([{ table: USERS, type: 'update', records }], notes);
  }

  /** A name for tokens that no older token has. */
  newSeries(): string {
    return this.#parts.environment.randomId(8);
  }

  /** Nodes that open the operations API have a user from their first start on. */
  async ensureFirstUser(
    passwordGenerated: (username: string, password: string) => void,
  ): Promise<void> {
    const { config } = this.#parts;
    const { authentication } = config;
    if (!takesOperations(config) && authentication.adminPassword === undefined) return;
    if ((await this.#all(USERS, 1)).length > 0) return;
    const username = authentication.adminUsername ?? 'admin';
    const password = authentication.adminPassword ?? generatePassword();
    const record = firstUserRecord(username, await hashPassword(password));
    await this.#submit([{ table: USERS, type: 'upsert', records: [record] }], {
      operation: 'add_user',
    });
    if (authentication.adminPassword === undefined) passwordGenerated(username, password);
  }

  async #admitted(row: UserRow): Promise<User> {
    if (!row.active)
      throw new SkeinError('UNAUTHENTICATED', 'Cannot complete request: User is inactive');
    const role = await this.findRole(row.role);
    const rights = role?.rights ?? NO_RIGHTS;
    const { username } = row;
    return { username, active: true, role: row.role, superUser: rights.superUser, rights };
  }

  #submit(writes: readonly LocalWrite[], notes: EntryNotes): Promise<Accepted> {
    return this.#parts.ask<Accepted>((replyTo) => ({
      type: 'transaction.submit',
      writes,
      notes,
      replyTo,
    }));
  }

  async #everybody(): Promise<{ users: UserRow[]; firstUsers: UserRow[] }> {
    const records = await this.#all(USERS);
    const users = records.map(userOf).filter((user) => user !== undefined);
    const firstUsers = records.map(firstUserOf).filter((user) => user !== undefined);
    this.#isSettled ||= users.length > 0;
    return { users, firstUsers };
  }

  async #settlingFirstUsers(): Promise<LocalWrite[]> {
    if (this.#isSettled) return [];
    const { users, firstUsers } = await this.#everybody();
    if (users.length > 0 || firstUsers.length === 0) return [];
    return [{ table: USERS, type: 'put', records: firstUsers.map(wholeRecord) }];
  }

  async #read(table: string, key: string): Promise<RecordObject | undefined> {
    if (!isKey(key)) return undefined;
    const [record] = await this.#parts.ask<(RecordObject | undefined)[]>((replyTo) => ({
      type: 'records.get',
      table,
      keys: [key],
      replyTo,
    }));
    return record;
  }

  #all(table: string, limit?: number): Promise<RecordObject[]> {
    return this.#parts.ask<RecordObject[]>((replyTo) => ({
      type: 'records.search',
      table,
      query: { operator: 'and', conditions: [], limit },
      replyTo,
    }));
  }
}

const KEY_CHARACTERS_MAX = 300;

/** Others have no row, and asking for it would be an error of another kind. */
const isKey = (name: string): boolean =>
  name !== '' && name.length <= KEY_CHARACTERS_MAX && isWellFormed(name);

/** Checked in place of a user that does not exist, so that both answers take as long. */
const UNKNOWN_USER = `scrypt$16384$8$1$${'A'.repeat(24)}$${'A'.repeat(44)}`;
