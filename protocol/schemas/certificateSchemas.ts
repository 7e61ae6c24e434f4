/**
 * The operations on certificates, as they are after validate.ts, and the schemas of their fields. Part of
 * operationSchemas.ts. What PEM texts say is not looked at here.
 */
import { limits } from '../limits.js';
import type { Schema } from '../operationSchemas.js';

/** A certificate or authority that an operator provides. */
export interface CertificateFields {
  /** PEM; authorities between it and the trusted one may follow. */
  readonly certificate: string;
  readonly is_authority: boolean;
  readonly name?: string;
  /** PEM; a secret. */
  readonly private_key?: string;
  /** Names it is shown for; absent: those in the certificate. */
  readonly hosts?: readonly string[];
  /** Listeners it is meant for; absent: all. */
  readonly uses?: readonly string[];
  readonly ciphers?: string;
}

interface Replicable {
  /** Not built yet, and refused. */
  readonly replicated?: boolean;
}

export type NormalisedCertificateOperation =
  | ({ readonly operation: 'add_certificate' } & CertificateFields & Replicable)
  | { readonly operation: 'list_certificates' }
  | ({ readonly operation: 'remove_certificate'; readonly name: string } & Replicable);

const LIST_ITEMS_MAX = 1_000;
const NAME_CHARACTERS_MAX = 180;

const flag: Schema = { type: 'boolean' };
const pem: Schema = { type: 'string', minLength: 1, maxLength: limits.pemCharactersMax };
const name: Schema = { type: 'string', minLength: 1, maxLength: NAME_CHARACTERS_MAX };
const texts: Schema = {
  type: 'array',
  maxItems: LIST_ITEMS_MAX,
  items: { type: 'string', minLength: 1, maxLength: 255 },
};

/** Fields that must be there, and all fields, of each operation. */
export const certificateFields = {
  add_certificate: {
    required: ['certificate', 'is_authority'],
    properties: {
      certificate: pem,
      is_authority: flag,
      name,
      private_key: pem,
      hosts: texts,
      uses: texts,
      ciphers: { type: 'string', minLength: 1, maxLength: 5_000 },
      replicated: flag,
    },
  },
  list_certificates: { required: [], properties: {} },
  // Rows of authorities may have longer names than can be given to new ones.
  remove_certificate: {
    required: ['name'],
    properties: { name: { type: 'string', minLength: 1 }, replicated: flag },
  },
} as const satisfies Readonly<
  Record<
    NormalisedCertificateOperation['operation'],
    { readonly required: readonly string[]; readonly properties: Readonly<Record<string, Schema>> }
  >
>;
