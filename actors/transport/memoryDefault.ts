/**
 * The in-memory network of nodes that were given none: all of them in this process can find one another. Made when
 * the first one starts.
 */
import { MemoryNetwork } from './memory.js';
import type { Transport } from './types.js';

let shared: MemoryNetwork | null = null;

export const memoryTransport = (name: string): Transport => {
  shared ??= new MemoryNetwork();
  return shared.transport(name);
};
