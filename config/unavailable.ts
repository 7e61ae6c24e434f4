/**
 * What can be configured, but not be started yet. Called by startNode with a settled configuration, so that a
 * configuration can be checked on a machine where it will not run.
 */
import { invalidConfiguration } from './findings.js';
import type { Config } from './types.js';

/** Throws INVALID_CONFIGURATION if the node would need TLS between nodes, which is not built. */
export function refuseUnavailable(config: Config): void {
  if (config.replication.secure !== undefined)
    throw invalidConfiguration('TLS replication is not available yet, configure replication.port');
  const route = config.replication.routes.find(({ url }) => url.startsWith('wss:'));
  if (route !== undefined)
    throw invalidConfiguration(
      `TLS replication is not available yet, give the route to '${route.name}' a ws:// URL`,
    );
}
