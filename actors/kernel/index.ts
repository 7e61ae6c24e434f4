/**
 * The actor kernel's door: everything else in this folder is its own business. Imported by the other files
 * of actors/ and, for types, by whoever shows the tree. nact is imported nowhere outside this folder.
 */
export { createSystem } from './system.js';
export type * from './types.js';
