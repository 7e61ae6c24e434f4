/**
 * The embed door: `startNode` and everything that its users name. Exports only; nothing else of the package is public.
 */
export { startNode, type ServedNode as Node } from './server/startNode.js';
export type { StartNodeOptions } from './actors/embed/node.js';
export type { Change, ChangesOptions, Cursor } from './actors/embed/changes.js';
export type { Table, Transaction, WriteOptions } from './actors/embed/table.js';
export { MemoryNetwork } from './actors/transport/memory.js';
export { SkeinError, type ErrorCode } from './protocol/errors.js';
export type { Operation, User, RecordObject, Key } from './protocol/operations.js';
export type { Config, ConfigInput } from './config/types.js';
export type { Health } from './actors/node.js';
export type {
  ActorRef,
  ActorSnapshot,
  SupervisionEvent,
  Terminated,
} from './actors/kernel/types.js';
export type { ClusterMessage } from './actors/messages.js';
