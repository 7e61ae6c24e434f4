/**
 * add_certificate, list_certificates and remove_certificate, with the documented answers. Called by run.ts, for super users
 * only. What is stored, and what of it is used, is the signer's business.
 */
import { invalidRequest } from '../../protocol/errors.js';
import type { RecordObject } from '../../protocol/operations.js';
import type { NormalisedOperation } from '../../protocol/operationSchemas.js';
import { CERTIFICATES } from '../certificateTable.js';
import { SYSTEM } from '../systemDatabase.js';
import type { OperationContext } from './context.js';

type Operation<Name extends NormalisedOperation['operation']> = Extract<
  NormalisedOperation,
  { operation: Name }
>;

/** The message with the name of the row. New connections show or trust it when this is answered. */
export const addCertificate = async (
  context: OperationContext,
  { operation: _operation, replicated, ...certificate }: Operation<'add_certificate'>,
): Promise<string> => {
  refuseReplicated(replicated);
  const name = await context.signer<string>((replyTo) => ({
    type: 'certificate.add',
    certificate,
    replyTo,
  }));
  return `Successfully added certificate: ${name}`;
};

/** The rows of `hdb_certificate`, which hold no keys. */
export const listCertificates = (context: OperationContext): Promise<RecordObject[]> =>
  context.ask<RecordObject[]>(SYSTEM, (replyTo) => ({
    type: 'records.search',
    table: CERTIFICATES,
    query: { operator: 'and', conditions: [] },
    replyTo,
  }));

export const removeCertificate = async (
  context: OperationContext,
  { name, replicated }: Operation<'remove_certificate'>,
): Promise<string> => {
  refuseReplicated(replicated);
  await context.signer<void>((replyTo) => ({ type: 'certificate.remove', name, replyTo }));
  return `Successfully removed ${name}`;
};

/** A private key would have to travel. */
const refuseReplicated = (replicated: boolean | undefined): void => {
  if (replicated === true) throw invalidRequest("'replicated' is not supported by this version");
};
