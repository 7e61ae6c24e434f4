/**
 * What can be configured, but not be started yet. Called by startNode with a settled configuration, so that a
 * configuration can be checked on a machine where it will not run.
 */
import { SkeinError } from '../protocol/errors.js';
import { canonicalIp, isLoopbackAddress } from '../protocol/nodeNames.js';
import type { Config } from './types.js';

/**
 * Throws INSECURE_ADDRESS for a replication port without TLS beyond loopback that was not allowed in so many words.
 */
export function refuseUnavailable(config: Config): void {
  const { insecure, allowInsecure } = config.replication;
  if (insecure !== undefined && !allowInsecure && !isLoopback(insecure.host))
    throw new SkeinError(
      'INSECURE_ADDRESS',
      `replication.port: refuses to listen on ${insecure.host} without TLS; use replication.securePort, a loopback address as replication.hostname, or, on a private network, replication.allowInsecure`,
    );
}

const isLoopback = (host: string): boolean => isLoopbackAddress(canonicalIp(host) ?? host);
