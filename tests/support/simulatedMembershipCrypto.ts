/**
 * Passwords in virtual time: scrypt runs on threads, which no seed decides, and takes long on purpose. For a run of the
 * membership simulation it is another function of password and salt, answered at once; salts come from the seed.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import type { SeededRandom } from './simulatedTime.js';

type Answer = (error: Error | null, key: Buffer) => void;

/** Returns how to put the real ones back. */
export const useSimulatedCrypto = (random: SeededRandom): (() => void) => {
  const { scrypt, randomBytes } = crypto;
  const simulated = {
    scrypt: (password: string, salt: Buffer, length: number, _cost: object, done: Answer): void => {
      const key = crypto.createHash('sha256').update(password).update(salt).digest();
      done(null, key.subarray(0, length));
    },
    randomBytes: (size: number): Buffer => Buffer.from(random.hex(size), 'hex'),
  };
  Object.assign(crypto, simulated);
  syncBuiltinESMExports();
  return () => {
    Object.assign(crypto, { scrypt, randomBytes });
    syncBuiltinESMExports();
  };
};
