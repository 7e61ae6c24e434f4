/**
 * The certificates of `skein dev`: one authority for the cluster, kept with its directory, and a certificate for each node
 * at each start. Called by dev.ts. The files are for one machine and one user.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { provisionAuthority, provisionNode, type Authority } from '../../actors/provision.js';
import { authorityFiles, type CertificateFiles, type DevNode } from './devPlan.js';

/** Resolves when every file that the nodes' configuration names is there. */
export const writeCertificates = async (
  nodes: readonly DevNode[],
  directory: string,
): Promise<void> => {
  const authority = await openAuthority(authorityFiles(directory));
  await Promise.all(
    nodes.map(async ({ name, files }) => writePair(files, await provisionNode(authority, name))),
  );
};

const openAuthority = async (files: CertificateFiles): Promise<Authority> => {
  try {
    const [certificate, key] = await Promise.all([
      readFile(files.certificate, 'utf8'),
      readFile(files.key, 'utf8'),
    ]);
    return { certificate, key };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    const authority = await provisionAuthority('dev');
    await writePair(files, authority);
    return authority;
  }
};

const writePair = async (
  files: CertificateFiles,
  { certificate, key }: { certificate: string; key: string },
): Promise<void> => {
  await mkdir(dirname(files.certificate), { recursive: true, mode: 0o700 });
  await writeFile(files.key, key, { mode: 0o600 });
  await writeFile(files.certificate, certificate);
};
