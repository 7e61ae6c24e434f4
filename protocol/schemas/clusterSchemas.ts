/**
 * The operations that change who is in the cluster, as they are after validate.ts, and the schemas of their fields.
 * Part of operationSchemas.ts. What a schema cannot say in the documented words is checked in clusterFields.ts.
 */
import { limits } from '../limits.js';
import type { Schema } from '../operationSchemas.js';
import { NAME_KEYWORD } from './wording.js';

/** From this node's view: `publish` sends the table to the other node, `subscribe` takes it. */
export interface TableSubscription {
  readonly database: string;
  readonly table: string;
  readonly publish: boolean;
  readonly subscribe: boolean;
}

/** Absent `database`: all of them. */
interface FlowRule {
  readonly database?: string;
  readonly excludeTables?: readonly string[];
}
/** Absent `target`: every node. */
export interface SendingRule extends FlowRule {
  readonly target?: string;
}
/** Absent `source`: every node. */
export interface ReceivingRule extends FlowRule {
  readonly source?: string;
}
export interface DirectionLists {
  readonly sendsTo?: readonly SendingRule[];
  readonly receivesFrom?: readonly ReceivingRule[];
}
export interface Replicates extends DirectionLists {
  readonly sends?: boolean;
  readonly receives?: boolean;
}

/** Where a node is: at least one of the two, as given; config/routes.ts reads them into a name and a URL. */
export interface NodeTarget {
  /** A name, which may carry a port; or a URL. */
  readonly hostname?: string;
  readonly url?: string;
}

/** What add_node and update_node say about a node. */
export interface NodeFields extends NodeTarget, DirectionLists {
  readonly verify_tls?: boolean;
  /** `Basic …` or `Bearer …`; a secret. */
  readonly authorization?: string;
  readonly retain_authorization?: boolean;
  readonly revoked_certificates?: readonly string[];
  readonly shard?: number;
  /** Milliseconds since the epoch. */
  readonly start_time?: number;
  readonly subscriptions?: readonly TableSubscription[];
  readonly replicates?: boolean | Replicates;
  readonly isLeader?: boolean;
  readonly force_signing?: boolean;
}

/** A route as given, with the keys it has in the configuration file. `hostname` wins over `host`. */
export interface RouteFields {
  readonly hostname?: string;
  readonly host?: string;
  readonly url?: string;
  readonly port?: number;
  readonly startTime?: number | string;
  readonly [key: string]: unknown;
}

export type NormalisedClusterOperation =
  | ({ readonly operation: 'add_node' } & NodeFields)
  | ({ readonly operation: 'update_node' } & NodeFields & { readonly hostname: string })
  | ({ readonly operation: 'remove_node' } & NodeTarget)
  | { readonly operation: 'configure_cluster'; readonly connections: readonly NodeFields[] }
  | {
      readonly operation: 'cluster_set_routes' | 'cluster_delete_routes';
      readonly routes: readonly (string | RouteFields)[];
    }
  | { readonly operation: 'cluster_get_routes' };

/** Items in one list of rules, subscriptions or serial numbers. */
const LIST_ITEMS_MAX = 10_000;
const SERIAL_CHARACTERS_MAX = 250;

const name: Schema = { type: 'string', [NAME_KEYWORD]: true };
const flag: Schema = { type: 'boolean' };
/** Checked in clusterFields.ts. */
const unchecked: Schema = {};

const list = (items: Schema): Schema => ({ type: 'array', maxItems: LIST_ITEMS_MAX, items });

/** Closed: a misspelled key would change what flows. */
const closed = (properties: { readonly [field: string]: Schema }, required: string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  required,
  properties,
});

const ruleFor = (node: 'target' | 'source'): Schema =>
  closed({ [node]: unchecked, database: name, excludeTables: list(name) });

const rules = { sendsTo: list(ruleFor('target')), receivesFrom: list(ruleFor('source')) };

/** What `replicates` says, as rows and nodes say it too. */
export const directed: Schema = {
  type: ['boolean', 'object'],
  additionalProperties: false,
  properties: { sends: flag, receives: flag, ...rules },
};

/** One item of `subscriptions`. */
export const subscription: Schema = {
  type: 'object',
  required: ['table'],
  properties: { database: name, table: name, publish: flag, subscribe: flag },
};

/** The fields of remove_node; of every operation about one node, these come first. */
export const targetProperties: { readonly [field: string]: Schema } = {
  hostname: unchecked,
  url: unchecked,
};

/** The fields of add_node and update_node. */
export const nodeProperties: { readonly [field: string]: Schema } = {
  ...targetProperties,
  verify_tls: flag,
  authorization: unchecked,
  retain_authorization: flag,
  revoked_certificates: list({ type: 'string', minLength: 1, maxLength: SERIAL_CHARACTERS_MAX }),
  shard: { type: 'integer', minimum: 0, maximum: 65_535 },
  start_time: unchecked,
  subscriptions: list(subscription),
  replicates: directed,
  ...rules,
  isLeader: flag,
  force_signing: flag,
};

/** The field of configure_cluster: what add_node says, once per node. */
export const connections: Schema = {
  type: 'array',
  maxItems: limits.membersMax,
  items: { type: 'object', properties: nodeProperties },
};

/**
 * The field of cluster_set_routes and cluster_delete_routes. Closed: the file takes no unknown keys either. What the
 * keys after `url` may say is the configuration's business.
 */
export const routes: Schema = {
  type: 'array',
  minItems: 1,
  maxItems: limits.membersMax,
  items: {
    type: ['string', 'object'],
    additionalProperties: false,
    properties: {
      ...targetProperties,
      host: unchecked,
      port: { type: 'integer', minimum: 1, maximum: 65_535 },
      startTime: { type: ['number', 'string'] },
      replicates: unchecked,
      sendsTo: unchecked,
      receivesFrom: unchecked,
      subscriptions: unchecked,
      excludeTables: unchecked,
      revokedCertificates: unchecked,
      shard: unchecked,
    },
  },
};
