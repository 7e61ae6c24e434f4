/**
 * The operations: what users send to the operations API, the CLI, and the cluster supervisor.
 * Snake case as outside; the door hands them on as they are once `validate.ts` has accepted them.
 * Shapes, messages and status codes: behaviour documented in docs/OPERATIONS.md.
 */
import type { Rights } from './permissions.js';

export type RecordValue = unknown;
export type RecordObject = { [attribute: string]: RecordValue };
export type Key = string | number;

interface DatabaseField {
  database?: string;
  schema?: string;
}
interface TableFields extends DatabaseField {
  table: string;
}

export interface Condition {
  attribute?: string;
  search_attribute?: string;
  comparator?: Comparator;
  search_type?: Comparator;
  value?: unknown;
  search_value?: unknown;
}
export interface ConditionGroup {
  operator?: 'and' | 'or';
  conditions: (Condition | ConditionGroup)[];
}
export type Comparator =
  | 'equals'
  | 'contains'
  | 'starts_with'
  | 'ends_with'
  | 'greater_than'
  | 'greater_than_equal'
  | 'less_than'
  | 'less_than_equal'
  | 'between'
  | 'not_equal';
export interface Sort {
  attribute: string;
  descending?: boolean;
  next?: Sort;
}

/** Where a node is; `node_name` and `name` are older spellings of `hostname`. */
export interface NodeAddress {
  hostname?: string;
  node_name?: string;
  name?: string;
  url?: string;
}
interface FlowRuleFields {
  database?: string;
  excludeTables?: string[];
}
interface FlowFields {
  sendsTo?: (string | ({ target?: string } & FlowRuleFields))[];
  receivesFrom?: (string | ({ source?: string } & FlowRuleFields))[];
}
/** What add_node says; update_node says the same of a node that is there already. */
export interface NodeDescription extends NodeAddress, FlowFields {
  verify_tls?: boolean;
  rejectUnauthorized?: boolean;
  /** For this call only unless `retain_authorization`. A text is a header: `Basic …` or `Bearer …`. */
  authorization?: string | { username: string; password: string };
  retain_authorization?: boolean;
  revoked_certificates?: string[];
  shard?: number;
  /** ISO 8601 with a zone, or milliseconds since the epoch. */
  start_time?: string | number;
  subscriptions?: ({ table: string; publish?: boolean; subscribe?: boolean } & DatabaseField)[];
  replicates?: boolean | ({ sends?: boolean; receives?: boolean } & FlowFields);
  isLeader?: boolean;
  force_signing?: boolean;
}
/** A route as in the configuration file; an object takes all its keys. */
export type RouteDescription =
  | string
  | { hostname?: string; host?: string; url?: string; port?: number; [key: string]: unknown };

export type Operation =
  | ({ operation: 'create_database' | 'create_schema' } & DatabaseField)
  | ({ operation: 'drop_database' | 'drop_schema'; replicated?: boolean } & DatabaseField)
  | ({
      operation: 'create_table';
      primary_key?: string;
      hash_attribute?: string;
      attributes?: { name: string; type?: string; is_primary_key?: boolean; indexed?: boolean }[];
      /** Seconds that a record lives after its newest write. */
      expiration?: number;
      audit?: boolean;
      replicate?: boolean;
    } & TableFields)
  | ({ operation: 'drop_table'; replicated?: boolean } & TableFields)
  | ({
      operation: 'create_attribute';
      attribute: string;
      type?: string;
      indexed?: boolean;
    } & TableFields)
  | ({ operation: 'drop_attribute'; attribute: string; replicated?: boolean } & TableFields)
  | { operation: 'describe_all'; exact_count?: boolean }
  | ({ operation: 'describe_database' | 'describe_schema'; exact_count?: boolean } & DatabaseField)
  | ({ operation: 'describe_table'; exact_count?: boolean } & TableFields)
  | ({
      operation: 'insert' | 'update' | 'upsert';
      records: RecordObject[];
      /** When they expire: milliseconds since the epoch, or a Date. */
      expiresAt?: number | Date;
    } & TableFields)
  | ({ operation: 'delete'; ids?: Key[]; hash_values?: Key[] } & TableFields)
  | ({
      operation: 'search_by_id' | 'search_by_hash';
      ids?: Key[];
      hash_values?: Key[];
      get_attributes?: string[];
    } & TableFields)
  | ({
      operation: 'search_by_value';
      attribute?: string;
      search_attribute?: string;
      value?: unknown;
      search_value?: unknown;
      get_attributes?: string[];
      limit?: number;
      offset?: number;
      desc?: boolean;
    } & TableFields)
  | ({
      operation: 'search_by_conditions';
      conditions: (Condition | ConditionGroup)[];
      operator?: 'and' | 'or';
      limit?: number;
      offset?: number;
      sort?: Sort;
      get_attributes?: string[];
    } & TableFields)
  | ({ operation: 'add_node' | 'set_node' | 'update_node' } & NodeDescription)
  | ({ operation: 'remove_node' } & NodeAddress)
  | { operation: 'configure_cluster'; connections: NodeDescription[] }
  | { operation: 'cluster_set_routes' | 'cluster_delete_routes'; routes: RouteDescription[] }
  | { operation: 'cluster_get_routes' }
  | { operation: 'cluster_status' }
  | { operation: 'system_information'; attributes?: string[] }
  | {
      operation: 'add_certificate';
      certificate: string;
      is_authority: boolean;
      name?: string;
      private_key?: string;
      hosts?: string[];
      uses?: string[];
      ciphers?: string;
    }
  | { operation: 'list_certificates' }
  | { operation: 'remove_certificate'; name: string }
  | { operation: 'add_user'; username: string; password: string; role: string; active?: boolean }
  | {
      operation: 'alter_user';
      username: string;
      password?: string;
      role?: string;
      active?: boolean;
    }
  | { operation: 'drop_user'; username: string }
  | { operation: 'list_users' | 'list_roles' | 'user_info' }
  | { operation: 'add_role'; role: string; permission: RecordObject }
  | { operation: 'alter_role'; id: string; role?: string; permission?: RecordObject }
  | { operation: 'drop_role'; id: string }
  | { operation: 'create_authentication_tokens'; username?: string; password?: string }
  | { operation: 'refresh_operation_token'; refresh_token?: string };

export type OperationName = Operation['operation'];

/** Who asks, as a login has found out. `superUser` may do everything; others what `rights` say, absent: nothing. */
export interface User {
  readonly username: string;
  readonly superUser: boolean;
  readonly active: boolean;
  readonly role?: string;
  readonly rights?: Rights;
}
