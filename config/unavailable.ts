/**
 * What can be configured, but not be started yet. Called by startNode with a settled configuration, so that a
 * configuration can be checked on a machine where it will not run.
 */
import { SkeinError } from '../protocol/errors.js';
import { canonicalIp, isLoopbackAddress } from '../protocol/nodeNames.js';
import { invalidConfiguration } from './findings.js';
import type { Config } from './types.js';

/**
 * Throws INVALID_CONFIGURATION for what is not built (TLS between nodes), INSECURE_ADDRESS for a replication port
 * beyond loopback.
 */
export function refuseUnavailable(config: Config): void {
  if (config.replication.secure !== undefined)
    throw invalidConfiguration('TLS replication is not available yet, configure replication.port');
  const route = config.replication.routes.find(({ url }) => url.startsWith('wss:'));
  if (route !== undefined)
    throw invalidConfiguration(
      `TLS replication is not available yet, give the route to '${route.name}' a ws:// URL`,
    );
  const { insecure } = config.replication;
  if (insecure !== undefined && !isLoopbackAddress(canonicalIp(insecure.host) ?? insecure.host))
    throw new SkeinError(
      'INSECURE_ADDRESS',
      `replication.port: refuses to listen on ${insecure.host} without TLS; use a loopback address as replication.hostname`,
    );
}
