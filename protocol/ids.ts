/**
 * The names of things, each its own type, so that two of them can never be exchanged by mistake.
 * Called by everybody; holds no logic but the spelling of an origin.
 */

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A node's name: what its certificate (or, on the insecure port, its IP address) says. */
export type NodeName = Branded<string, 'NodeName'>;
export type DatabaseName = Branded<string, 'DatabaseName'>;
export type TableName = Branded<string, 'TableName'>;
/** Sixteen hexadecimal digits; a new one whenever something written under the old one may be missing. */
export type Incarnation = Branded<string, 'Incarnation'>;
/** `<node name>#<incarnation>`: who wrote a log entry. Compared as text, which is by name first. */
export type OriginId = Branded<string, 'OriginId'>;
/** Position in an origin's log. The first entry is 1; contiguous. */
export type Sequence = Branded<number, 'Sequence'>;
/** Hybrid time: milliseconds since the epoch * 2048 + counter, a safe integer. */
export type Version = Branded<number, 'Version'>;
/** Which life of a table's name: 1 for the first, one more each time it is created again after a drop. */
export type TableGeneration = Branded<number, 'TableGeneration'>;

export const nodeName = (text: string): NodeName => text as NodeName;
export const databaseName = (text: string): DatabaseName => text as DatabaseName;
export const tableName = (text: string): TableName => text as TableName;
export const incarnation = (text: string): Incarnation => text as Incarnation;
export const sequence = (value: number): Sequence => value as Sequence;
export const version = (value: number): Version => value as Version;
export const tableGeneration = (value: number): TableGeneration => value as TableGeneration;

export const originId = (parts: { node: NodeName; incarnation: Incarnation }): OriginId =>
  `${parts.node}#${parts.incarnation}` as OriginId;

/** Whether a text is an origin that a node may tell of. */
export const isOriginId = (text: string): text is OriginId => /^.+#[0-9a-f]{16}$/.test(text);

/** The node that an origin belongs to. */
export const nodeOf = (origin: OriginId): NodeName => {
  const end = origin.lastIndexOf('#');
  return (end < 0 ? origin : origin.slice(0, end)) as NodeName;
};
